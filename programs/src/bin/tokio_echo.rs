//! A server and its clients in one process, over loopback TCP.
//!
//! Thirty-two clients send requests of a few lengths and read the answers. For
//! each request the server builds an answer out of several strings and vectors
//! in a task of its own. The argument is the number of requests in all.

use std::io;
use std::sync::Arc;

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Connections at the same time.
const CLIENTS: usize = 32;

fn main() -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_io().build()?;
    let sum = runtime.block_on(load(amount()))?;
    finish(sum);
    Ok(())
}

/// Starts the server, runs all clients, and adds up what they read.
async fn load(requests: usize) -> io::Result<u64> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream));
        }
        io::Result::Ok(())
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|i| {
            let share = requests / CLIENTS + usize::from(i < requests % CLIENTS);
            tokio::spawn(async move { ask(TcpStream::connect(address).await?, i, share).await })
        })
        .collect();
    let mut sum = 0u64;
    for client in clients {
        sum = sum.wrapping_add(client.await??);
    }
    server.await??;
    Ok(sum)
}

/// Answers requests on one connection until it is closed.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(request) = read(&mut stream).await? {
        let request = Arc::new(request);
        let answer = tokio::spawn(async move { answer(&request) }).await?;
        write(&mut stream, &answer).await?;
    }
    Ok(())
}

/// Turns the words of a request around and counts them.
fn answer(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut words: Vec<String> = text.split(' ').map(|word| word.chars().rev().collect()).collect();
    words.sort();
    format!("{} {}", words.len(), words.join("/")).into_bytes()
}

/// Sends `count` requests and adds up the checksums of the answers.
async fn ask(mut stream: TcpStream, client: usize, count: usize) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let mut random = Rng::with_seed(client as u64);
    let mut sum = 0u64;
    for _ in 0..count {
        let words: Vec<String> = (0..random.usize(1..60)).map(|_| word(&mut random)).collect();
        write(&mut stream, words.join(" ").as_bytes()).await?;
        let answer = read(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        sum = sum.wrapping_add(checksum(&answer));
    }
    Ok(sum)
}

/// Reads one message: its length in four bytes, then itself.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Writes one message.
async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(4 + message.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}
