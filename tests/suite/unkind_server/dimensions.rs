//! What the API leaves unstated. The first value of each dimension is the kind one.

use std::fmt;

use super::Dice;

macro_rules! dimension {
    (
        $(#[$doc:meta])*
        $name:ident { $(#[$kind_doc:meta])* $kind:ident, $($(#[$value_doc:meta])* $value:ident,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) enum $name {
            $(#[$kind_doc])* #[default] $kind,
            $($(#[$value_doc])* $value,)*
        }

        impl $name {
            /// The kind value first.
            pub(crate) const ALL: &[Self] = &[Self::$kind, $(Self::$value),*];
        }
    };
}

dimension! {
    /// 1: metadata in records.
    Metadata {
        Kept,
        Dropped,
        /// `oneclick_intent` becomes `oneclickIntent`.
        KeysRespelt,
        /// In upper case.
        ValuesRespelt,
        /// To 16 to 31 characters; each server always takes the same number.
        CutShort,
        /// From Z to A; kept ones go from A to Z.
        Reordered,
        /// One string that holds the object.
        JsonText,
        /// Every value is null.
        Nulled,
        NotInRecords,
        NotInCustomerRecords,
    }
}

dimension! {
    /// 1: when metadata are changed.
    MetadataChanged {
        OnRead,
        /// What others bought before the first exchange may still be intact.
        OnWrite,
    }
}

dimension! {
    /// 2: the customer's address, as stored and shown.
    Address {
        Kept,
        LowerCase,
        TagRemoved,
        /// The domain turns from Unicode to punycode or back, for the names in `DOMAINS`.
        Punycode,
        /// An accent becomes a character of its own, for the letters in `LETTERS`.
        Decomposed,
    }
}

dimension! {
    /// 2: how `customer_email` is compared with the address as it is shown.
    AddressFilter { Exact, Loose, }
}

dimension! {
    /// 3: `user_id` of a record.
    UserId { Same, OtherCase, OfCustomer, Other, }
}

dimension! {
    /// 4: `time_utc` of a record beside its receipt, which has milliseconds and `Z`.
    TimeForm {
        Same,
        /// The last three digits are not in the receipt.
        Micros,
        /// To a whole second, without a fraction.
        Rounded,
        /// To a whole second, written with `.000`.
        Cut,
        /// `+00:00` for `Z`.
        Offset,
        /// Each exchange takes another of these forms.
        Alternating,
    }
}

dimension! {
    /// 5: where a customer's purchase is listed.
    Place { CustomerRecords, Records, Both, }
}

dimension! {
    /// 6: a `filter_by` that the server does not know; `coral_restored` is one.
    UnknownFilter { Honoured, EmptyList, Everything, BadRequest, }
}

dimension! {
    /// 7: `sort_order`.
    SortOrder { Honoured, Ascending, Unordered, PagesOfAscending, PagesOfUnordered, }
}

dimension! {
    /// 8: whether the days of `start_date` and `end_date` belong to the range.
    Dates { Inclusive, Exclusive, }
}

dimension! {
    /// 8: where a day begins.
    DayZone {
        Utc,
        /// 14 hours earlier.
        East,
        /// 12 hours later.
        West,
    }
}

dimension! {
    /// 9: `limit`.
    Limit { Honoured, Capped, }
}

dimension! {
    /// 10: cursors.
    Cursors {
        /// They lead through what the first page found.
        Lasting,
        /// They answer 400, two times in five.
        Expiring,
        /// They are positions in what there is now.
        Shifting,
    }
}

dimension! {
    /// 11: when a purchase can be read.
    Visibility {
        AtOnce,
        /// Up to `LAG` later.
        Later,
        /// One of two replicas answers, and one of them lags by up to `LAG`.
        Replicas,
    }
}

dimension! {
    /// 12: the server's clock beside a right one.
    Clock { Same, Ahead, Behind, }
}

dimension! {
    /// 12: `Date` beside `time_utc`.
    DateHeader {
        Same,
        /// By up to 20 seconds, always the same.
        Apart,
        Missing,
        /// On half of the responses.
        Sometimes,
    }
}

dimension! {
    /// 13: the answer to a purchase that a fault met and that was made.
    Made {
        Receipt,
        Nothing,
        /// 408, 500, 502, 503 or 504, in anybody's words.
        ServerError,
        /// 301, 302, 303 or 304.
        Redirect,
        /// 400 to 429 in a stranger's words.
        ClientError,
        /// 201, 202, 204 or 205.
        OtherSuccess,
        /// 200 with an error as its body.
        ErrorBody,
        Html,
        Empty,
        CutReceipt,
        /// Any of these but a receipt.
        Any,
    }
}

dimension! {
    /// 14: the answer to a purchase that a fault met and that was not made.
    NotMade {
        /// 500 or 503 of the API itself.
        Error,
        /// 400 to 422 of the API itself.
        Refusal,
        /// 425 or 429 of the API itself.
        RateLimit,
        NeverConnected,
        Nothing,
        ServerError,
        /// 301, 302, 303, 304, 307 or 308.
        Redirect,
        ClientError,
        OtherSuccess,
        ErrorBody,
        Html,
        Empty,
        /// So short that it names nothing.
        CutReceipt,
        /// Any of these.
        Any,
    }
}

dimension! {
    /// 15: when a purchase is made whose caller has given up.
    Late {
        Never,
        /// Up to `LATE` after the exchange ended without an answer, with a gateway's
        /// error, or with a promise such as 202: three times in five.
        Within,
    }
}

dimension! {
    /// 16: the receipt.
    Receipt {
        Own,
        /// Some receipts are of another recent purchase of other software.
        Crossed,
        /// Without customer and category.
        Bare,
        CrossedBare,
        /// The amount as `5.0`.
        FloatAmount,
    }
}

dimension! {
    /// 17: a cancellation.
    Cancel {
        AtOnce,
        /// Up to `CANCEL_LATE` later.
        Later,
        /// Half of the purchases cannot be cancelled any more.
        Refused,
    }
}

dimension! {
    /// 17: the answer to a repeated cancellation.
    CancelRepeat { AllFields, FourFields, }
}

dimension! {
    /// 17: the status of a refused cancellation.
    CancelRefusal { BadRequest, NotFound, Conflict, Unprocessable, }
}

dimension! {
    /// 18: the `user_id` that names a customer's impact to `/v1/track`.
    TrackBy { Account, Customer, }
}

dimension! {
    /// 18: from when an impact can be tracked.
    TrackFrom {
        AtOnce,
        /// As soon as the replica that answers lists it.
        Visible,
    }
}

dimension! {
    /// 19: what half of the rows of other software are.
    OtherRows {
        WellFormed,
        Null,
        WithoutUserId,
        AmountAsText,
        /// `"\ud83d"` as the category.
        HalfSurrogate,
        UnknownKind,
        /// Any of these.
        Mixed,
    }
}

dimension! {
    /// 20: other software that buys by itself.
    OtherSoftware {
        None,
        /// After half of the purchases it buys the same kind and amount once or twice
        /// within five seconds, without a marker.
        BuysTheSame,
    }
}

/// How often things go wrong, in percent. All are 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Odds {
    /// Of a fault on a purchase.
    pub(crate) fault: u32,
    /// That a purchase that a fault met is made all the same.
    pub(crate) made: u32,
    /// That such a fault leaves no answer at all, whatever the dimensions say.
    pub(crate) lost: u32,
    /// That a read or a cancellation fails.
    pub(crate) read_lost: u32,
}

impl Odds {
    fn random(dice: &mut Dice) -> Self {
        Self {
            fault: *dice.pick(&[10, 50, 90, 100]),
            made: *dice.pick(&[30, 50, 80, 100]),
            lost: 40,
            read_lost: *dice.pick(&[0, 0, 10]),
        }
    }
}

macro_rules! dimensions {
    ($($field:ident: $kind:ty,)*) => {
        /// One value of each dimension, kind by default.
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        pub(crate) struct Dimensions {
            $(pub(crate) $field: $kind,)*
            pub(crate) odds: Odds,
            /// Lets receipts of equal kind, amount and shown customer cross, which the
            /// bounds of the promises exclude unless the record's marker must confirm.
            pub(crate) equals_cross: bool,
        }

        impl Dimensions {
            /// Makes each dimension unkind with one probability, which is drawn from
            /// 0, 20, 40, 70 and 90 percent, or makes exactly one dimension unkind.
            pub(crate) fn random(dice: &mut Dice) -> Self {
                let share = *dice.pick(&[Some(0), Some(20), Some(40), Some(70), Some(90), None]);
                let only = dice.index([$(stringify!($field)),*].len());
                let mut index = 0..;
                let mut unkind = |dice: &mut Dice| match share {
                    Some(percent) => dice.percent(percent),
                    None => index.next() == Some(only),
                };
                let mut dimensions = Self { odds: Odds::random(dice), ..Self::default() };
                $(if unkind(dice) {
                    dimensions.$field = *dice.pick(&<$kind>::ALL[1..]);
                })*
                dimensions
            }
        }

        /// Shows the unkind values only.
        impl fmt::Debug for Dimensions {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct("Dimensions");
                $(if self.$field != <$kind>::default() {
                    shown.field(stringify!($field), &self.$field);
                })*
                if self.odds != Odds::default() {
                    shown.field("odds", &self.odds);
                }
                if self.equals_cross {
                    shown.field("equals_cross", &true);
                }
                shown.finish_non_exhaustive()
            }
        }
    };
}

dimensions! {
    metadata: Metadata,
    metadata_changed: MetadataChanged,
    address: Address,
    address_filter: AddressFilter,
    user_id: UserId,
    time_form: TimeForm,
    place: Place,
    unknown_filter: UnknownFilter,
    sort_order: SortOrder,
    dates: Dates,
    day_zone: DayZone,
    limit: Limit,
    cursors: Cursors,
    visibility: Visibility,
    clock: Clock,
    date_header: DateHeader,
    made: Made,
    not_made: NotMade,
    late: Late,
    receipt: Receipt,
    cancel: Cancel,
    cancel_repeat: CancelRepeat,
    cancel_refusal: CancelRefusal,
    track_by: TrackBy,
    track_from: TrackFrom,
    other_rows: OtherRows,
    other_software: OtherSoftware,
}
