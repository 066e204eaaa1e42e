//! CPython's own tests, as jobs.
//!
//! Debian's package of them leaves out what cannot run once installed. Each
//! module is a command of its own, so that one that crashes takes no other with
//! it, and writes its results as XML, which is compared test by test.
//!
//! `PYTHONMALLOC=malloc` sends every object to `malloc`. CPython would
//! otherwise serve small ones from arenas of its own.

use crate::job::{Form, Job, Need, Place, USUAL};
use crate::plan::{Plan, Step};

/// The interpreter of Debian 12.
pub(super) const PYTHON: &str = "/usr/bin/python3.11";

/// In both forms: objects, buffers, the collector, foreign calls.
const SHORT: &[&str] = &[
    "test_array",
    "test_bytes",
    "test_ctypes",
    "test_decimal",
    "test_deque",
    "test_dict",
    "test_gc",
    "test_generators",
    "test_heapq",
    "test_json",
    "test_list",
    "test_memoryview",
    "test_mmap",
    "test_pickle",
    "test_re",
    "test_set",
    "test_thread",
    "test_threading",
    "test_unicode",
    "test_xml_etree",
    "test_zlib",
];

/// In the full form besides: threads and processes, which take minutes.
const LONG: &[&str] = &[
    "test_ast",
    "test_hashlib",
    "test_io",
    "test_lzma",
    "test_multiprocessing_fork",
    "test_subprocess",
    "test_weakref",
];

/// The row.
pub(super) const JOBS: &[Job] = &[Job {
    name: "python-tests",
    about: "CPython's own tests of objects, buffers, threads and processes",
    needs: &[
        Need { file: PYTHON, package: "python3.11" },
        Need { file: "/usr/lib/python3.11/test/test_dict.py", package: "libpython3.11-testsuite" },
    ],
    measured: false,
    limit: 1800,
    plan,
    scrub: &[
        (r#" time="[0-9.]+""#, ""),
        (r#" start="[^"]*""#, ""),
        // A line a test, so that a difference names the test.
        ("><", ">\n<"),
    ],
    ..USUAL
}];

fn plan(place: &Place) -> Plan {
    let long = if place.form == Form::Full { LONG } else { &[] };
    let modules = SHORT.iter().chain(long);
    let step = |module: &&str| {
        // The text has times and the load average. The XML has the results.
        let results = format!("{module}.xml");
        let argv = [PYTHON, "-m", "test", "--junit-xml", &results, module];
        Step::subject(argv).env("PYTHONMALLOC", "malloc").env("PYTHONHASHSEED", "0").unheard()
    };
    let mut plan = Plan::of(modules.clone().map(step));
    for module in modules {
        plan = plan.output(&format!("{module}.xml"));
    }
    plan
}
