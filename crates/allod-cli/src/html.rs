//! The report as one HTML file that needs nothing else.
//!
//! The file has the looks, the script and the data in it. It asks no server for
//! anything, and a rule in it forbids the browser to. The parts lie in `html/`, in
//! the order in which the script is put together:
//!
//! ```text
//!   report.html     the skeleton: a section for each chart
//!   report.css      the looks, light, dark and on paper
//!   base.js         elements, amounts in words, the tooltip, what charts follow
//!   data.js         the profile, filtered and weighed
//!   time.js flame.js sites.js types.js histograms.js ledger.js spans.js
//!   main.js         strip, bar, findings, and the start
//! ```
//!
//! The data is what `allod report --json` prints. Names in it come from programs, so
//! the script makes text of them and never markup, and `<` is written as an escape:
//! nothing in a name can end the element that the data stands in.

use crate::data;
use allod_profile::Profile;

const SKELETON: &str = include_str!("html/report.html");
const STYLE: &str = include_str!("html/report.css");
const SCRIPT: [&str; 10] = [
    include_str!("html/base.js"),
    include_str!("html/data.js"),
    include_str!("html/time.js"),
    include_str!("html/flame.js"),
    include_str!("html/sites.js"),
    include_str!("html/types.js"),
    include_str!("html/histograms.js"),
    include_str!("html/ledger.js"),
    include_str!("html/spans.js"),
    include_str!("html/main.js"),
];

/// The report on a profile, or on what has changed since another.
pub(crate) fn print(profile: &Profile, before: Option<&Profile>) -> String {
    let data = data::object(profile, before).to_string().replace('<', "\\u003c");
    let mut out = String::with_capacity(data.len() + 96 * 1024);
    let mut rest = SKELETON;
    // One pass, so that a marker inside of what was put in stays what it is.
    let mut put = |marker: &str, parts: &[&str]| {
        let (head, tail) = rest.split_once(marker).expect("the skeleton has its markers in order");
        out.push_str(head);
        parts.iter().for_each(|part| out.push_str(part));
        rest = tail;
    };
    put("@STYLE@", &[STYLE]);
    put("@DATA@", &[&data]);
    put("@SCRIPT@", &SCRIPT);
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
