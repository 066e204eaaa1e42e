//! The test kit on allocators that are known to be good.

use std::alloc::System;

allod_kit::conformance!(global System);
