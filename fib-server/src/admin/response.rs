//! What is answered to the head of a request, as bytes in and bytes out.

use httparse::{EMPTY_HEADER, Request, Status};
use prometheus_client::encoding::prometheus_text;

use super::{Subject, metrics};

/// The longest head that is read.
pub(super) const HEAD_LEN_MAX: usize = 8 * 1024;

/// The most lines that it may have.
const HEADERS_MAX: usize = 64;

const TEXT: &str = "text/plain; charset=utf-8";

/// What is said of a request, before it is known whether only its head is wanted.
struct Response {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

/// The whole response. `None` until there is enough of the head to know it.
pub(super) fn respond(head: &[u8], subject: &Subject) -> Option<Vec<u8>> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    let is_whole = match request.parse(head) {
        Ok(Status::Partial) if head.len() < HEAD_LEN_MAX => return None,
        Ok(Status::Complete(len)) => len <= HEAD_LEN_MAX,
        Ok(Status::Partial) | Err(_) => false,
    };
    let (Some(method), Some(target), true) = (request.method, request.path, is_whole) else {
        return Some(Response::text("400 Bad Request", "bad request\n").into_bytes("GET"));
    };
    let response = match method {
        "GET" | "HEAD" => get(target, subject),
        _ => Response::text("405 Method Not Allowed", "method not allowed\n"),
    };
    Some(response.into_bytes(method))
}

fn get(target: &str, subject: &Subject) -> Response {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path {
        "/healthz" => Response::text("200 OK", "ok\n"),
        "/readyz" if subject.context.is_stopping() => {
            Response::text("503 Service Unavailable", "draining\n")
        }
        "/readyz" => Response::text("200 OK", "ready\n"),
        "/metrics" => Response {
            status: "200 OK",
            content_type: prometheus_text::CONTENT_TYPE,
            body: metrics::page(subject),
        },
        _ => Response::text("404 Not Found", "there are /healthz, /readyz and /metrics\n"),
    }
}

impl Response {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, content_type: TEXT, body: body.to_owned() }
    }

    fn into_bytes(self, method: &str) -> Vec<u8> {
        let Self { status, content_type, body } = self;
        let len = body.len();
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let body = if method == "HEAD" { "" } else { &body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n\
             {allow}Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}
