//! Pages, refusals, and peers that stall.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::{Listener, Page, Pages};

fn pages() -> Pages {
    Arc::new(|path| match path {
        "/page" => Some(Page::text("text/plain", "hello\n".to_owned())),
        "/none" => Some(Page::bare(204)),
        "/long" => Some(Page::text("text/plain", "x".repeat(64 << 20))),
        _ => None,
    })
}

async fn listener() -> (Listener, std::net::SocketAddr) {
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let at = listener.address().unwrap();
    (listener, at)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn get(at: std::net::SocketAddr, line: &str) -> String {
    let stream = TcpStream::connect(at).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
    tokio::time::timeout(Duration::from_secs(20), ask(stream, &request)).await.unwrap()
}

#[tokio::test]
async fn pages_are_served_and_others_are_not_there() {
    let (listener, at) = listener().await;
    tokio::spawn(listener.serve(pages()));
    let page = get(at, "GET /page").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\nhello\n"), "{page}");
    let none = get(at, "GET /none?x=1").await;
    assert!(none.starts_with("HTTP/1.1 204 No Content\r\n") && none.ends_with("\r\n\r\n"), "{none}");
    assert!(get(at, "GET /other").await.starts_with("HTTP/1.1 404 "));
    assert!(get(at, "POST /page").await.starts_with("HTTP/1.1 405 "));
    let head = get(at, "HEAD /page").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("hello"), "{head}");
}

#[tokio::test]
async fn stalled_peers_block_nobody_and_are_cut_off() {
    let (mut listener, at) = listener().await;
    listener.limits.connections = 4;
    tokio::spawn(listener.serve(pages()));
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /page HTTP/1.1\r\n").await.unwrap();
        stalled.push(stream);
        assert!(get(at, "GET /page").await.contains("hello"));
    }
    // All but the newest have been closed from the other side.
    let mut closed = 0;
    for stream in &mut stalled[..16] {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await.unwrap();
        closed += usize::from(!matches!(read, Ok(1..)));
    }
    assert_eq!(closed, 16);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off_at_the_deadline() {
    let (mut listener, at) = listener().await;
    listener.limits.deadline = Duration::from_millis(50);
    tokio::spawn(listener.serve(pages()));
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut silent = TcpStream::connect(at).await.unwrap();
    let mut byte = [0];
    // The silent peer came later, so when it is cut off the other has been.
    let read = tokio::time::timeout(Duration::from_secs(20), silent.read(&mut byte)).await.unwrap();
    assert!(!matches!(read, Ok(1..)));
    let mut body = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut body)).await.unwrap();
    assert!(body.len() < 64 << 20, "the whole page of {} bytes came", body.len());
}

#[tokio::test]
async fn a_unix_socket_is_private_takes_over_a_dead_one_and_goes_with_its_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/agent.sock");
    std::fs::create_dir(folder.path().join("made")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket is left behind");
    let listener = Listener::unix(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let serving = tokio::spawn(listener.serve(pages()));
    let stream = UnixStream::connect(&path).await.unwrap();
    assert!(ask(stream, "GET /page HTTP/1.0\r\n\r\n").await.ends_with("hello\n"));
    serving.abort();
    let _ = serving.await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_somebody_answers_at_is_left_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let first = Listener::unix(&path).unwrap();
    assert!(Listener::unix(&path).is_err());
    tokio::spawn(first.serve(pages()));
    let stream = UnixStream::connect(&path).await.unwrap();
    assert!(ask(stream, "GET /page HTTP/1.0\r\n\r\n").await.ends_with("hello\n"));
}

#[tokio::test]
async fn what_is_no_socket_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = Listener::unix(&path).err().unwrap();
    assert!(error.to_string().starts_with("listening on "), "{error}");
    assert_eq!(std::fs::read_to_string(Path::new(&path)).unwrap(), "precious");
}
