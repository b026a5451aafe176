//! The dimensions: everything that the API leaves unstated. The first value of each is the
//! kind one.

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
            /// All values, the kind one first.
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
        /// To 16 to 31 characters, always the same number for a server.
        CutShort,
        /// From Z to A; otherwise they are sorted from A to Z.
        Reordered,
        /// The object as a JSON string.
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
        /// Purchases of others before the first exchange may still be intact.
        OnWrite,
    }
}

dimension! {
    /// 2: the customer's address, as stored and shown.
    Address {
        Kept,
        LowerCase,
        TagRemoved,
        /// The domain changes from Unicode to Punycode or back, for the names in `DOMAINS`.
        Punycode,
        /// Accents become separate characters, for the letters in `LETTERS`.
        Decomposed,
    }
}

dimension! {
    /// 2: how the filter `customer_email` is compared with the stored address.
    AddressFilter { Exact, Loose, }
}

dimension! {
    /// 3: the `user_id` of a record.
    UserId { Same, OtherCase, OfCustomer, Other, }
}

dimension! {
    /// 4: the `time_utc` of a record. The receipt's has milliseconds and `Z`.
    TimeForm {
        Same,
        /// With microseconds, whose last three digits are not in the receipt.
        Micros,
        /// Rounded to a second, without a fraction.
        Rounded,
        /// Truncated to a second, written with `.000`.
        Cut,
        /// `+00:00` instead of `Z`.
        Offset,
        /// A random form for each exchange.
        Alternating,
    }
}

dimension! {
    /// 5: where a customer's purchase is listed.
    Place { CustomerRecords, Records, Both, }
}

dimension! {
    /// 6: the effect of an unknown `filter_by`, such as `coral_restored`.
    UnknownFilter { Honoured, EmptyList, Everything, BadRequest, }
}

dimension! {
    /// 7: `sort_order`.
    SortOrder { Honoured, Ascending, Unordered, PagesOfAscending, PagesOfUnordered, }
}

dimension! {
    /// 8: whether the range includes the days of `start_date` and `end_date`.
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
        /// They point into the rows that the first page found.
        Lasting,
        /// Two in five get a 400.
        Expiring,
        /// They are positions in the current rows.
        Shifting,
    }
}

dimension! {
    /// 11: when lists show a purchase.
    Visibility {
        AtOnce,
        /// Up to `LAG` later.
        Later,
        /// One of two replicas responds, and one of them lags by up to `LAG`.
        Replicas,
    }
}

dimension! {
    /// 12: the server's clock compared with the correct time.
    Clock { Same, Ahead, Behind, }
}

dimension! {
    /// 12: `Date` compared with `time_utc`.
    DateHeader {
        Same,
        /// Up to 20 seconds off, always by the same amount.
        Apart,
        Missing,
        /// On half of the responses.
        Sometimes,
    }
}

dimension! {
    /// 13: the response to a purchase with a fault that was made.
    Made {
        Receipt,
        Nothing,
        /// 408, 500, 502, 503 or 504, of the API or of a gateway.
        ServerError,
        /// 301, 302, 303 or 304.
        Redirect,
        /// 400 to 429 of a gateway.
        ClientError,
        /// 201, 202, 204 or 205.
        OtherSuccess,
        /// 200 with an error as its body.
        ErrorBody,
        Html,
        Empty,
        CutReceipt,
        /// Any of these except a receipt.
        Any,
    }
}

dimension! {
    /// 14: the response to a purchase with a fault that was not made.
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
        /// Too short to identify anything.
        CutReceipt,
        /// Any of these.
        Any,
    }
}

dimension! {
    /// 15: whether a purchase is made after its caller has given up.
    Late {
        Never,
        /// Three in five are made up to `LATE` after an exchange that ended without a
        /// response, with a gateway's error, or with a status such as 202.
        Within,
    }
}

dimension! {
    /// 16: the receipt.
    Receipt {
        Own,
        /// Some receipts belong to a recent purchase of other software.
        Crossed,
        /// Without customer and category.
        Bare,
        CrossedBare,
        /// The amount as `5.0`.
        FloatAmount,
    }
}

dimension! {
    /// 17: the effect of a cancellation.
    Cancel {
        AtOnce,
        /// Up to `CANCEL_LATE` later.
        Later,
        /// Half of the purchases cannot be cancelled any more.
        Refused,
    }
}

dimension! {
    /// 17: the response to a repeated cancellation.
    CancelRepeat { AllFields, FourFields, }
}

dimension! {
    /// 17: the status of a refused cancellation.
    CancelRefusal { BadRequest, NotFound, Conflict, Unprocessable, }
}

dimension! {
    /// 18: the `user_id` by which `/v1/track` knows a customer's impact.
    TrackBy { Account, Customer, }
}

dimension! {
    /// 18: when an impact can be tracked.
    TrackFrom {
        AtOnce,
        /// As soon as the replica that responds lists it.
        Visible,
    }
}

dimension! {
    /// 19: the form of half of the rows of other software.
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
    /// 20: other software that buys on the same account.
    OtherSoftware {
        None,
        /// After half of the purchases, it makes one or two equal purchases within five
        /// seconds, without a marker.
        BuysTheSame,
    }
}

/// The probabilities of failures, in percent. All are 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Odds {
    /// A purchase has a fault.
    pub(crate) fault: u32,
    /// A purchase with a fault is made nevertheless.
    pub(crate) made: u32,
    /// A purchase with a fault gets no response, whatever the dimensions say.
    pub(crate) lost: u32,
    /// A read or a cancellation fails.
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
            /// Allows crossed receipts of equal kind, amount and shown customer. The promises
            /// exclude those unless only the record may confirm.
            pub(crate) equals_cross: bool,
        }

        impl Dimensions {
            /// Makes each dimension unkind with a common probability of 0, 20, 40, 70 or 90
            /// percent, or makes exactly one dimension unkind.
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

        /// Shows only the unkind values.
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
