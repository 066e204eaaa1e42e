//! `Buddy` beside the model, and what is its own.
#![allow(unsafe_code)]

use super::*;

crate::regions::tests::plan_tests!(BuddyPlan);
