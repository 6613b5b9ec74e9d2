//! A server that follows a script: what it answers to the connections that come, one after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What happens on one connection, request by request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers.
    Say(String),
    /// Answers byte by byte, each in a packet of its own.
    Dribble(String),
    /// Says a part and nothing more, leaving the connection open.
    Stall(String),
    /// Reads the request, and says what it has to before it closes the connection.
    Close(String),
}

/// A running script.
#[derive(Debug)]
pub(crate) struct Fake {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    closed: Arc<AtomicUsize>,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Counted from 0.
    pub(crate) connection: usize,
    /// Method, path and query.
    pub(crate) line: String,
    /// As sent.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

// === impl Fake ===

impl Fake {
    /// Plays one list of acts per connection; when the lists are used up, connections are closed as they come.
    pub(crate) fn start(connections: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let closed = Arc::new(AtomicUsize::new(0));
        let closing = Arc::clone(&closed);
        // Ends with the test's process: it owns nothing but its socket.
        thread::spawn(move || {
            let mut scripts = connections.into_iter();
            for (number, stream) in listener.incoming().enumerate() {
                let (Ok(stream), Some(acts)) = (stream, scripts.next()) else { continue };
                let (notes, closing) = (Arc::clone(&notes), Arc::clone(&closing));
                thread::spawn(move || {
                    play(stream, number, acts, &notes);
                    closing.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, heard, closed }
    }

    /// One connection.
    pub(crate) fn once(acts: Vec<Act>) -> Self {
        Self::start(vec![acts])
    }

    /// Waits until so many connections were closed from here.
    pub(crate) fn wait_closed(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.closed.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < deadline, "the script does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The connection and first line of each request.
    pub(crate) fn lines(&self) -> Vec<(usize, String)> {
        self.heard().into_iter().map(|heard| (heard.connection, heard.line)).collect()
    }
}

fn play(stream: TcpStream, connection: usize, acts: Vec<Act>, heard: &Mutex<Vec<Heard>>) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    for act in acts {
        let Some(request) = listen(&mut reader, connection) else { return };
        heard.lock().unwrap().push(request);
        match act {
            Act::Say(text) => writer.write_all(text.as_bytes()).unwrap(),
            Act::Dribble(text) => {
                for byte in text.as_bytes() {
                    if writer.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::yield_now();
                }
            }
            Act::Stall(text) => {
                writer.write_all(text.as_bytes()).unwrap();
                // Until the other side gives up.
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            Act::Close(text) => {
                let _ = writer.write_all(text.as_bytes());
                return;
            }
        }
    }
}

fn listen(reader: &mut BufReader<TcpStream>, connection: usize) -> Option<Heard> {
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end().to_owned())
    };
    let line = next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let header = next()?;
        if header.is_empty() {
            break;
        }
        headers.push(header);
    }
    let length = headers
        .iter()
        .find_map(|header| header.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Heard { connection, line, headers, body: String::from_utf8(body).ok()? })
}

// === answers ===

/// An answer with a length.
pub(crate) fn answer(status: &str, index: u64, body: &str) -> String {
    answer_of("c1", status, index, body)
}

/// An answer of a cluster with a name.
pub(crate) fn answer_of(cluster: &str, status: &str, index: u64, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nX-Etcd-Cluster-Id: {cluster}\r\nX-Etcd-Index: {index}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// An answer in chunks of `size`.
pub(crate) fn chunked(index: u64, body: &str, size: usize) -> String {
    let mut out = format!(
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: c1\r\nX-Etcd-Index: {index}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for piece in body.as_bytes().chunks(size) {
        out.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
    }
    out + "0\r\n\r\n"
}

/// A value as etcd tells it.
pub(crate) fn node(action: &str, key: &str, value: &str, index: u64) -> String {
    format!(
        "{{\"action\":\"{action}\",\"node\":{{\"key\":\"{key}\",\"value\":\"{value}\",\"modifiedIndex\":{index},\"createdIndex\":{index}}}}}\n"
    )
}

/// A directory of two values.
pub(crate) fn two(index: u64) -> String {
    let one = format!("{{\"key\":\"/d/a\",\"value\":\"1\",\"modifiedIndex\":{index},\"createdIndex\":1}}");
    let other = format!("{{\"key\":\"/d/b\",\"value\":\"2\",\"modifiedIndex\":{index},\"createdIndex\":1}}");
    format!(
        "{{\"action\":\"get\",\"node\":{{\"key\":\"/d\",\"dir\":true,\"nodes\":[{one},{other}],\"modifiedIndex\":1}}}}\n"
    )
}

/// A refusal as etcd words it.
pub(crate) fn refusal(code: u64, message: &str, cause: &str, index: u64) -> String {
    format!("{{\"errorCode\":{code},\"message\":\"{message}\",\"cause\":\"{cause}\",\"index\":{index}}}\n")
}
