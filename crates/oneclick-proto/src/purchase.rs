//! Any of the actions as one type, to be stored and sent later.

use serde::{Deserialize, Serialize};

use crate::api::personal_texts;
use crate::endpoint::Action;
use crate::machine::ApiRequest;
use crate::value::{Customer, Impact, Metadata};
use crate::{CaptureCarbon, CleanOcean, DonateMoney, PlantTree, RestoreCoral};

/// Declares the variants of a purchase.
macro_rules! purchase {
    ($($(#[$meta:meta])* $action:ident,)*) => {
        /// Any of the actions as one type.
        ///
        /// Its JSON is the body of the request and the name of the action. Deserializing
        /// makes the same checks as the constructors and fails with the same messages. It
        /// also refuses unknown actions and fields.
        ///
        /// ```
        /// use oneclick_proto::{PlantTree, Purchase, Trees};
        ///
        /// let purchase = Purchase::from(PlantTree::new(Trees::of::<5>()));
        /// let stored = serde_json::to_string(&purchase)?;
        /// assert_eq!(stored, r#"{"action":"plant_tree","amount":5}"#);
        /// assert_eq!(serde_json::from_str::<Purchase>(&stored)?, purchase);
        ///
        /// let wrong = serde_json::from_str::<Purchase>(r#"{"action":"plant_tree","amount":0}"#);
        /// let message = wrong.unwrap_err().to_string();
        /// assert!(message.starts_with("trees must be between 1 and 10,000,000 (got 0)"));
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "action", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Purchase {
            $($(#[$meta])* $action($action),)*
        }

        $(
            impl From<$action> for Purchase {
                fn from(action: $action) -> Self {
                    Self::$action(action)
                }
            }
        )*

        impl Purchase {
            /// The impact to buy: its kind, and its amount in the unit of the kind.
            #[must_use]
            pub fn impact(&self) -> Impact {
                let (kind, amount) = match self {
                    $(Self::$action(action) => ($action::kind(), action.amount.get()),)*
                };
                Impact::new(kind, i64::try_from(amount).unwrap_or(i64::MAX))
            }

            /// The customer; `None` for a purchase of the account itself.
            #[must_use]
            pub fn customer(&self) -> Option<&Customer> {
                match self {
                    $(Self::$action(action) => action.customer.as_ref(),)*
                }
            }

            /// The metadata, which may be empty.
            #[must_use]
            pub fn metadata(&self) -> &Metadata {
                match self {
                    $(Self::$action(action) => &action.metadata,)*
                }
            }

            /// Replaces the metadata.
            #[must_use]
            pub fn with_metadata(self, metadata: Metadata) -> Self {
                match self {
                    $(Self::$action(action) => Self::$action(action.metadata(metadata)),)*
                }
            }

            pub(crate) fn request(&self) -> ApiRequest {
                match self {
                    $(Self::$action(action) => ApiRequest::of(action),)*
                }
            }

            /// The texts that no message may show.
            pub(crate) fn personal(&self) -> Vec<String> {
                match self {
                    $(Self::$action(action) => personal_texts(action),)*
                }
            }
        }
    };
}

purchase! {
    /// `POST /v1/plant_tree`
    PlantTree,
    /// `POST /v1/clean_ocean`
    CleanOcean,
    /// `POST /v1/capture_carbon`
    CaptureCarbon,
    /// `POST /v1/restore_coral`
    RestoreCoral,
    /// `POST /v1/donate_money`
    DonateMoney,
}
