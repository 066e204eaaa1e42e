//! Findings about things whose state is known.

use super::settings::{Settings, judge, not_understood};
use super::*;

fn problems(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|it| it.grade == Grade::Problem).collect()
}

#[test]
fn options_that_are_not_understood_are_named() {
    let good = "purge_delay:0,guard_pages:off,huge_pages:1M,profile:64k,profile_dump:exit+oom";
    assert_eq!(not_understood(good), Vec::<String>::new());
    let wrong = not_understood("purge_dilay:0,guard_pages:2,huge_cache,huge_pages:1T,,");
    let [name, value, none, unit] = &wrong[..] else { panic!("{wrong:?}") };
    assert_eq!(name, "'purge_dilay:0': no option has this name");
    assert_eq!(value, "'guard_pages:2': the value has to be of 0 to 1, or of the words off, on");
    assert_eq!(none, "'huge_cache': there is no value");
    assert!(unit.starts_with("'huge_pages:1T': the value has to be of 0 to "), "{unit}");
}

#[test]
fn settings_of_the_kernel_are_judged() {
    let judged = |settings: &Settings| {
        let mut findings = Vec::new();
        judge(settings, &mut findings);
        findings
    };
    let usual = judged(&Settings {
        huge_pages: Some("always [madvise] never".into()),
        overcommit: Some("0".into()),
        mappings: Some(65_530),
        trace: Some("0".into()),
        seccomp: Some("0".into()),
    });
    assert!(usual.iter().all(|it| it.grade == Grade::Good), "{usual:?}");
    let odd = judged(&Settings {
        huge_pages: Some("always madvise [never]".into()),
        overcommit: Some("2".into()),
        mappings: Some(1000),
        trace: Some("1".into()),
        seccomp: Some("2".into()),
    });
    assert_eq!(odd.len(), 5, "{odd:?}");
    assert!(odd.iter().all(|it| it.grade == Grade::Note && !it.fix.is_empty()), "{odd:?}");
}

#[test]
fn this_program_has_names() {
    let mut findings = Vec::new();
    let program = std::env::current_exe().expect("a program");
    program_at(&program, &mut findings);
    assert_eq!(problems(&findings), Vec::<&Finding>::new());
    assert!(findings.iter().any(|it| it.what.contains("it has debug information")), "{findings:?}");
}

fn program_at(path: &Path, findings: &mut Vec<Finding>) {
    super::program(path.as_os_str(), findings);
}

#[test]
fn a_process_that_is_not_on_allod_is_told_so() {
    let mut findings = Vec::new();
    process(std::process::id(), &mut findings);
    let found = problems(&findings);
    assert!(found.iter().any(|it| it.what.contains("does not run on Allod")), "{findings:?}");
    assert!(found.iter().all(|it| it.fix.contains("allod run")), "{findings:?}");
}

#[test]
fn what_a_profile_lacks_is_told() {
    use allod_profile::model::{Module, Site};
    let module = |path: &str, symbols| Module { path: path.into(), symbols, ..Module::default() };
    let mut one = Profile {
        interval: 65536,
        modules: vec![
            module("/bin/a", Symbols::Full),
            module("/lib/b", Symbols::Functions),
            module("/lib/c", Symbols::None("the file is gone; keep it".into())),
        ],
        ..Profile::default()
    };
    let mut findings = Vec::new();
    profile(&one, &mut findings);
    assert!(problems(&findings)[0].fix.contains("--sample"), "{findings:?}");
    one.sites.push(Site::default());
    one.samples.taken = 100;
    one.samples.dropped = 1;
    one.samples.truncated = 50;
    findings.clear();
    profile(&one, &mut findings);
    let [names] = problems(&findings)[..] else { panic!("{findings:?}") };
    assert_eq!((&*names.what, &*names.fix), ("/lib/c: no names", "the file is gone; keep it"));
    let notes = findings.iter().filter(|it| it.grade == Grade::Note).count();
    assert_eq!(notes, 3, "dropped, truncated, functions alone: {findings:?}");
}
