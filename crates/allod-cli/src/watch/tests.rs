//! Tests of what is kept between looks, and the source that other tests look at.

use super::*;
use crate::synthetic;

/// A server that goes on: a second passes between two looks.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) looks: u64,
    /// The process ends after so many looks.
    pub(crate) ends: Option<u64>,
}

impl Source for Made {
    fn look(&mut self) -> Result<Profile, String> {
        if self.ends.is_some_and(|ends| self.looks >= ends) {
            return Err("process 4242: there is none with this number".into());
        }
        let mut profile = synthetic::server();
        profile.elapsed += self.looks * 1_000_000_000;
        profile.ledger.allocations += self.looks * 476_000;
        for site in &mut profile.sites {
            site.allocated.bytes += self.looks as f64 * 16_777_216.0;
        }
        self.looks += 1;
        Ok(profile)
    }

    fn dump(&mut self) -> Result<String, String> {
        Ok("allod-server.4242.pb.gz".into())
    }
}

fn watched(looks: usize) -> Watched {
    let mut source = Made::default();
    let mut watched = Watched::default();
    (0..looks).for_each(|_| watched.see(source.look().expect("it goes on")));
    watched
}

#[test]
fn rates_are_of_the_last_two_looks() {
    let (count, bytes) = watched(1).rate.expect("an average of its life");
    assert!((count - 91_400_123.0 / 300.0).abs() < 1.0, "{count}");
    assert!(bytes > 0.0);
    let watched = watched(3);
    let (count, bytes) = watched.rate.expect("two looks");
    assert!((count - 476_000.0).abs() < 1.0, "{count}");
    assert!((bytes - 64.0 * 16_777_216.0).abs() < 1024.0, "{bytes}");
}

#[test]
fn the_past_of_the_process_is_there_at_once() {
    let first = watched(1);
    assert!(first.curve.len() > 200, "{}", first.curve.len());
    assert_eq!(watched(4).curve.len(), first.curve.len() + 3);
    let times: Vec<u64> = watched(4).curve.iter().map(|it| it.at).collect();
    assert!(times.is_sorted());
}

#[test]
fn another_process_starts_over() {
    let mut watched = watched(3);
    watched.see(synthetic::nothing());
    assert_eq!(watched.profile.pid, 7);
    assert!(watched.curve.len() <= 1);
    assert!(watched.rows(Kind::Sites, Order::Live, "").is_empty());
}

#[test]
fn rows_are_sorted_and_filtered() {
    let watched = watched(1);
    let rows = watched.rows(Kind::Sites, Order::Live, "");
    assert!(rows.is_sorted_by(|a, b| a.live.bytes >= b.live.bytes));
    let total: f64 = rows.iter().map(|row| row.live.bytes).sum();
    for kind in [Kind::Types, Kind::Threads, Kind::Tasks] {
        let sum: f64 = watched.rows(kind, Order::Count, "").iter().map(|it| it.live.bytes).sum();
        assert!((sum - total).abs() < 1.0, "{kind:?}");
    }
    let found = watched.rows(Kind::Sites, Order::Live, "lex TOKEN");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "Lexer::run");
    assert_eq!(found[0].file, "src/lex.rs:88");
    assert!(watched.rows(Kind::Sites, Order::Live, "nothing like it").is_empty());
}

#[test]
fn what_grows_is_marked_and_measured() {
    let watched = watched(1);
    let rows = watched.rows(Kind::Sites, Order::Change, "");
    let growing: Vec<&Row> = rows.iter().filter(|row| row.grows).collect();
    assert_eq!(growing.len(), 1);
    assert_eq!(growing[0].name, "Session::new");
    // 38 MiB or so in five minutes.
    let rate = growing[0].change / 1_048_576.0;
    assert!((4.0..12.0).contains(&rate), "{rate}");
}
