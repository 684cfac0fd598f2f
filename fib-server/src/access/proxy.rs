//! What a proxy says of a connection before it passes on what its client sends: a header of the
//! PROXY protocol, version 1 or 2, read by a library that holds to the specification.
//!
//! The header is only ever looked for where one is due, so nobody else can pretend to be somebody.

use std::net::SocketAddr;

use proxy_protocol_rs::{ParseError, ProxyInfo, V2_SIGNATURE, parse};
use thiserror::Error;

/// The longest header: what proxies send is shorter, but for those that pass on certificates.
pub const HEADER_LEN_MAX: usize = 536;

/// The part of a header of version 2 that says how long the rest is.
const V2_FIXED_LEN: usize = V2_SIGNATURE.len() + 4;

/// A header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who the client is; `None` where the proxy speaks for itself, as in a health check.
    pub client: Option<SocketAddr>,
    /// How many bytes it takes.
    pub len: usize,
}

/// What came in its place is no header.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum HeaderError {
    /// It is not as the specification has it.
    #[error(transparent)]
    Malformed(ParseError),
    /// It would be for strangers to fill.
    #[error("a header of more than {HEADER_LEN_MAX} bytes")]
    TooLong,
}

impl Header {
    /// The header that these bytes begin with. `None` until all of it is there.
    ///
    /// # Errors
    ///
    /// As soon as they cannot become one any more.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HeaderError> {
        match parse(bytes) {
            _ if announced_len(bytes).is_some_and(|len| len > HEADER_LEN_MAX) => {
                Err(HeaderError::TooLong)
            }
            Ok((info, len)) => Ok(Some(Self { client: client_of(&info), len })),
            Err(ParseError::Incomplete) => Ok(None),
            Err(error) => Err(HeaderError::Malformed(error)),
        }
    }
}

/// How long a header of version 2 says that it is.
fn announced_len(bytes: &[u8]) -> Option<usize> {
    let (fixed, _) = bytes.split_at_checked(V2_FIXED_LEN)?;
    let [.., high, low] = fixed else { return None };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    fixed.starts_with(V2_SIGNATURE).then_some(V2_FIXED_LEN + rest)
}

/// A client without an Internet address, as that of a proxy's Unix socket, is the proxy's to answer
/// for.
fn client_of(info: &ProxyInfo) -> Option<SocketAddr> {
    let client = info.source_inet()?;
    Some(SocketAddr::new(client.ip().to_canonical(), client.port()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Of version 2, with these bytes behind what is fixed.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[0x20 | command, family], &len, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0x61, 0xa8];

    fn v6(client: &str) -> Vec<u8> {
        let address: std::net::Ipv6Addr = client.parse().unwrap();
        [&address.octets()[..], &[0; 16], &[0x12, 0x34, 0, 1]].concat()
    }

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let padding = |len: u16| [&[4][..], &len.to_be_bytes(), &vec![0; len.into()]].concat();
        vec![
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 25000\r\n".into(), Some("192.0.2.1:4660")),
            (b"PROXY TCP6 2001:db8::1 ::1 4660 1\r\n".into(), Some("[2001:db8::1]:4660")),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4660 1\r\n".into(), Some("192.0.2.1:4660")),
            (b"PROXY UNKNOWN\r\n".into(), None),
            (b"PROXY UNKNOWN what ever\r\n".into(), None),
            (v2(1, 0x11, &V4), Some("192.0.2.1:4660")),
            (v2(1, 0x21, &v6("2001:db8::1")), Some("[2001:db8::1]:4660")),
            (v2(1, 0x21, &v6("::ffff:192.0.2.1")), Some("192.0.2.1:4660")),
            (v2(1, 0x11, &[&V4[..], &padding(505)].concat()), Some("192.0.2.1:4660")),
            (v2(1, 0x31, &[0; 216]), None),
            (v2(0, 0, &[]), None),
            (v2(0, 0x11, &V4), None),
        ]
    }

    #[test]
    fn a_header_ends_where_it_ends() {
        for (bytes, client) in good() {
            let expected =
                Header { client: client.map(|it| it.parse().unwrap()), len: bytes.len() };
            for more in [&b""[..], b"30\n", b"\r\n", b"PROXY UNKNOWN\r\n"] {
                let found = Header::parse(&[&bytes, more].concat()).unwrap();
                assert_eq!(found, Some(expected), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn a_part_of_a_header_is_none() {
        for (bytes, _) in good() {
            for len in 0..bytes.len() {
                let found = Header::parse(&bytes[..len]).unwrap();
                assert_eq!(found, None, "{len} bytes of {}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let mut long = String::from("PROXY UNKNOWN ");
        write!(long, "{:0>90}", "").unwrap();
        for bytes in [
            b"30\n".to_vec(),
            b"proxy UNKNOWN\r\n".into(),
            b"PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n".into(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n".into(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n".into(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".into(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n".into(),
            b"PROXY UNKNOWNS\r\n".into(),
            format!("{long}end\r\n").into(),
            b"\r\n\r\n\0\r\nQUIT\r".into(),
            v2(2, 0x11, &V4),
            v2(1, 0, &[]),
            v2(1, 0x41, &V4),
            v2(1, 0x11, &V4[..11]),
            v2(1, 0x21, &V4),
            v2(1, 0x31, &V4),
            // Of what follows the addresses the length, and the checksum.
            v2(1, 0x11, &[&V4[..], &[4, 0, 9, 0]].concat()),
            v2(1, 0x11, &[&V4[..], &[3, 0, 4, 1, 2, 3, 4]].concat()),
        ] {
            assert!(Header::parse(&bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_gets_too_long_is_refused_at_once() {
        let announced = |len: u16| [&v2(1, 0x11, &[])[..14], &len.to_be_bytes()].concat();
        assert!(matches!(Header::parse(&announced(520)), Ok(None)));
        assert!(matches!(Header::parse(&announced(521)), Err(HeaderError::TooLong)));
        assert!(matches!(Header::parse(&[b'P'; 6]), Err(HeaderError::Malformed(_))));
        let endless = [b"PROXY UNKNOWN ", &[b' '; 93][..]].concat();
        assert!(matches!(Header::parse(&endless[..106]), Ok(None)));
        assert!(Header::parse(&endless).is_err());
    }
}
