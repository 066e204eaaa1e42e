//! Tests of the report: how slots become images and processes.

use super::*;

/// What a slot says, with the numbers that a test is about.
fn said(pid: u32, name: &str, face: Face, peak: u64) -> Said {
    let figures = Figures {
        live: Bytes(peak / 2),
        peak_live: Bytes(peak),
        allocations: Count(10),
        peak_threads: Count(3),
        ..Figures::default()
    };
    let (parent, ended, page_size) = (1, false, Bytes(4096));
    Said { pid, parent, name: name.into(), face, ended, page_size, figures }
}

fn ended(said: Said) -> Said {
    Said { ended: true, ..said }
}

#[test]
fn an_exec_adds_an_image() {
    let processes = gather(
        [
            said(7, "sh", Face::Library, 100),
            said(8, "cc1", Face::Library, 50),
            said(7, "server", Face::Library, 60),
        ]
        .into_iter(),
    );
    assert_eq!(processes.len(), 2);
    let names: Vec<&str> = processes[0].images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["sh", "server"]);

    // The peak is the larger image's, the level is the last one's, and
    // allocations are of both.
    let figures = processes[0].figures();
    assert_eq!(figures.peak_live, Bytes(100));
    assert_eq!(figures.live, Bytes(30));
    assert_eq!(figures.allocations, Count(20));
}

#[test]
fn a_program_that_executes_itself_is_two_images() {
    let same = || said(7, "sh", Face::Library, 100);
    let processes = gather([same(), same()].into_iter());
    assert_eq!(processes.len(), 1);
    assert_eq!(processes[0].images.len(), 2);
}

#[test]
fn two_faces_are_one_image() {
    let processes = gather(
        [said(7, "server", Face::Library, 100), said(7, "server", Face::Inside, 60)].into_iter(),
    );
    assert_eq!(processes.len(), 1);
    assert_eq!(processes[0].images.len(), 1);
    let image = processes[0].last();
    assert_eq!(image.faces, [Face::Library, Face::Inside]);
    assert_eq!(image.figures.peak_live, Bytes(160));
    assert_eq!(image.figures.live, Bytes(80));
    assert_eq!(image.figures.peak_threads, Count(3));
}

#[test]
fn a_number_that_comes_back_is_another_process() {
    let processes = gather(
        [ended(said(7, "ls", Face::Library, 100)), said(7, "cat", Face::Library, 60)].into_iter(),
    );
    assert_eq!(processes.len(), 2);

    // And what comes after belongs to the newer one.
    let processes = gather(
        [
            ended(said(7, "ls", Face::Library, 100)),
            said(7, "sh", Face::Library, 60),
            said(7, "cat", Face::Library, 60),
        ]
        .into_iter(),
    );
    assert_eq!(processes.len(), 2);
    assert_eq!(processes[1].images.len(), 2);
}

fn sum(made: &Composition) -> i128 {
    let parts =
        [made.live, made.free_in_spans, made.free_in_caches, made.free_slices, made.records];
    let sum: i128 = parts.iter().map(|part| i128::from(part.0)).sum();
    match made.rest {
        (Sign::Plus, rest) => sum + i128::from(rest.0),
        (Sign::Minus, rest) => sum - i128::from(rest.0),
    }
}

#[test]
fn the_composition_is_the_resident_bytes() {
    let usual = Figures {
        live: Bytes(1000),
        active: Bytes(1500),
        cached: Bytes(200),
        retained: Bytes(4000),
        metadata: Bytes(300),
        resident: Bytes(5800),
        ..Figures::default()
    };
    let made = usual.composition();
    assert_eq!(made.free_in_spans, Bytes(300));
    assert_eq!(made.free_in_caches, Bytes(200));
    assert_eq!(made.rest, (Sign::Plus, Bytes(0)));
    assert_eq!(sum(&made), 5800);

    // A large block of which little was touched.
    let untouched = Figures { live: Bytes(1 << 30), active: Bytes(1 << 30), ..usual };
    assert_eq!(sum(&untouched.composition()), 5800);
    assert_eq!(untouched.composition().rest.0, Sign::Minus);

    // Numbers from different moments: more live than active, more cached than free.
    let torn = Figures { live: Bytes(2000), cached: Bytes(900), ..usual };
    let made = torn.composition();
    assert_eq!((made.free_in_spans, made.free_in_caches), (Bytes(0), Bytes(0)));
    assert_eq!(sum(&made), 5800);
}
