//! A server with an arena for each request.
//!
//! Workers take an arena from a pool, and a request's scope in it. A handler
//! allocates as it likes and frees nothing; when it has answered, one pointer
//! goes back. After the first requests no memory is asked for any more.
//!
//! The example is its own client, over real sockets.
//!
//!     cargo run -p allod-kit --features alloc --example server

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use allod_kit::{Bump, BumpPool, Global, bump};

const WORKERS: usize = 2;
const REQUESTS: usize = 50;

/// Reads a line such as `GET /words/of/the/path`, and answers with its words,
/// the longest first. Everything is in the request's arena.
fn answer(stream: &TcpStream, arena: &Bump) -> Result<()> {
    // What std reads a line into is std's; a server would read into the arena.
    let mut line = String::new();
    BufReader::new(stream.take(4096)).read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or("/");

    let words = arena.alloc_iter(path.split('/').filter(|word| !word.is_empty()));
    words.sort_unstable_by_key(|word| usize::MAX - word.len());
    let mut body = bump::String::new_in(arena);
    for word in &*words {
        let shout = arena.alloc_str(word);
        shout.make_ascii_uppercase();
        // An error is an arena without memory; the answer is cut short.
        let _ = writeln!(body, "{:>3} {shout}", word.len());
    }
    let head = arena.alloc_fmt(format_args!("200 {}\n", body.len()));

    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

fn ask(address: std::net::SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    writeln!(stream, "GET {path}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut pool: BumpPool<Global, WORKERS> = BumpPool::new_with(|| Global);

    thread::scope(|threads| -> Result<()> {
        for _ in 0..WORKERS {
            let (listener, pool) = (&listener, &pool);
            threads.spawn(move || {
                let arena = pool.get().expect("as many arenas as workers");
                for _ in 0..REQUESTS / WORKERS {
                    let served = listener.accept().and_then(|(stream, _)| {
                        let request = arena.scope();
                        answer(&stream, &request)
                    });
                    if let Err(error) = served {
                        eprintln!("a request failed: {error}");
                    }
                }
            });
        }
        for i in 0..REQUESTS {
            let text = ask(address, &format!("/a/bump/arena/{i}"))?;
            let mut lines = text.lines();
            assert!(lines.next().is_some_and(|head| head.starts_with("200 ")), "{text}");
            assert_eq!(lines.next(), Some("  5 ARENA"));
            assert_eq!(lines.count(), 3);
        }
        Ok(())
    })?;

    let bytes = pool.reserved();
    println!("{REQUESTS} requests by {WORKERS} workers, in {bytes} bytes");
    assert!(bytes <= WORKERS * 4096, "a request leaves nothing behind");
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the loopback interface is there");
}
