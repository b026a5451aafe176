//! JSON as text, which keeps the order of fields and allows escapes that no JSON library
//! writes.

pub(super) fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

pub(super) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut json = String::from("{");
    for (name, value) in fields {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&text(name));
        json.push(':');
        json.push_str(&value);
    }
    json + "}"
}

pub(super) fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}
