//! The conversions and collections that a user of the standard library expects.

use oneclick_proto::{
    ApiKey, BaseUrl, Category, ConfigError, Cursor, Email, ErrorType, Extra, ImpactKind,
    InvalidValue, Locale, Metadata, Page, Reason, Totals, UserId,
};
use serde_json::json;

#[test]
fn text_is_parsed_as_new_checks_it() {
    fn check<T, E>(good: &str, bad: &str)
    where
        T: std::str::FromStr<Err = E>
            + for<'a> TryFrom<&'a str, Error = E>
            + TryFrom<String, Error = E>,
    {
        assert!(good.parse::<T>().is_ok() && bad.parse::<T>().is_err());
        assert!(T::try_from(good).is_ok() && T::try_from(bad).is_err());
        assert!(T::try_from(good.to_owned()).is_ok() && T::try_from(bad.to_owned()).is_err());
    }
    check::<ApiKey, ConfigError>("test_1", "test 1");
    check::<BaseUrl, ConfigError>("https://example.com", "example");
    check::<Email, InvalidValue>("ada@example.com", "ada");
    check::<Reason, InvalidValue>("refunded", &"a".repeat(201));
}

#[test]
fn text_that_is_not_looked_into_comes_from_any_text() {
    for text in ["", "U1", &"x".repeat(50)] {
        let id: UserId = text.parse().unwrap();
        assert_eq!((id.as_ref(), &id), (text, &UserId::from(text)));
        assert_eq!(UserId::from(text.to_owned()), id);
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!((cursor.as_ref(), &cursor), (text, &Cursor::from(text)));
        assert_eq!(Cursor::from(text.to_owned()), cursor);
    }
    let kind: ImpactKind = "tree_planted".parse().unwrap();
    assert_eq!((&kind, kind.as_ref()), (&ImpactKind::TreePlanted, "tree_planted"));
    assert_eq!(ErrorType::from("key_error".to_owned()), ErrorType::KeyError);
    let other: Locale = "tlh".parse().unwrap();
    assert_eq!(other.as_ref(), "tlh");
    assert_eq!(Category::from("food"), "food".parse().unwrap());
}

#[test]
fn a_page_is_a_collection_of_its_items() {
    let mut page = Page::from_iter([1, 2]);
    page.extend([3]);
    assert_eq!((&page).into_iter().sum::<i32>(), 6);
    assert_eq!(page.cursor, None);
    assert_eq!(page.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn totals_add_amounts_of_one_kind() {
    let mut totals: Totals =
        [(ImpactKind::TreePlanted, 2), ("kelp_grown".into(), 1)].into_iter().collect();
    totals.extend([(ImpactKind::TreePlanted, 5)]);
    let pairs: Vec<_> = (&totals).into_iter().collect();
    assert_eq!(pairs, [(&ImpactKind::TreePlanted, 7), (&"kelp_grown".into(), 1)]);
    let owned: Vec<_> =
        totals.into_iter().map(|(kind, amount)| (kind.to_string(), amount)).collect();
    assert_eq!(owned, [("tree_planted".to_owned(), 7), ("kelp_grown".to_owned(), 1)]);
}

#[test]
fn metadata_and_unknown_fields_are_maps() {
    let metadata = Metadata::from_pairs([("shop", "de"), ("order", "A-1")]).unwrap();
    let keys: Vec<_> = (&metadata).into_iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["order", "shop"]);
    assert_eq!(Metadata::from_pairs(metadata.clone()).unwrap(), metadata);

    let mut extra: Extra = [("soil".to_owned(), json!("peat"))].into_iter().collect();
    extra.extend([("depth".to_owned(), json!(3))]);
    assert_eq!((extra.get("soil"), extra.get("depth")), (Some(&json!("peat")), Some(&json!(3))));
    assert_eq!(extra.into_iter().count(), 2);
    assert_eq!(Extra::from_iter([]), Extra::default());
    assert_eq!(Extra::default().into_iter().count(), 0);
}
