//! `allod load`: one load, in this process. `allod bench` starts it, under the
//! allocator that is compared.

use clap::Args;

use crate::failure::Failure;
use crate::loads;
use crate::verb::Ending;

/// The verb, as `allod bench` spells it.
pub(crate) const NAME: &str = "load";
/// Not a load: touches memory and ends.
pub(crate) const WARM: &str = "warm";
/// Bytes between touches: one small page, of the smallest kind there is.
const STRIDE: usize = 4096;

/// Run one load of `allod bench` in this process
#[derive(Args)]
#[command(hide = true)]
pub(crate) struct Options {
    /// Its name
    name: String,
    /// How much of it
    amount: u64,
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        if self.name == WARM {
            touch(usize::try_from(self.amount).unwrap_or(0) << 20);
            return Ok(Ending::Code(0));
        }
        let load = loads::find(&self.name)
            .ok_or_else(|| Failure::ours(format!("no load {:?}", self.name)))?;
        load.run(self.amount);
        Ok(Ending::Code(0))
    }
}

/// Touches `bytes` of memory that the system has not given out before.
fn touch(bytes: usize) {
    let mut memory = vec![0u8; bytes];
    memory.iter_mut().step_by(STRIDE).for_each(|place| *place = 1);
    std::hint::black_box(&memory);
}
