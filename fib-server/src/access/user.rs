//! Users of this machine, as flags name them, and as the kernel tells of those who connect to a
//! Unix socket.

use std::{io, str::FromStr};

use nix::unistd::{Uid, User as Account, geteuid};
use socket2::Socket;
use thiserror::Error;

/// A user, by the number that the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(Uid);

/// The text names no user.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// This machine knows no such name.
    #[error("there is no user {name:?}; a number would do")]
    Unknown {
        /// The name.
        name: String,
    },
    /// This machine cannot say whom a name means.
    #[error("the user cannot be looked up ({reason}); a number would do")]
    NoLookUp {
        /// Why.
        reason: String,
    },
}

impl User {
    /// As whom this process runs.
    pub(super) fn own() -> Self {
        Self(geteuid())
    }

    /// Who has connected this Unix socket.
    #[cfg(target_os = "linux")]
    pub(super) fn of_peer(socket: &Socket) -> io::Result<Self> {
        let credentials = rustix::net::sockopt::socket_peercred(socket)?;
        Ok(Self(Uid::from_raw(credentials.uid.as_raw())))
    }

    /// Who has connected this Unix socket.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of_peer(socket: &Socket) -> io::Result<Self> {
        let (user, _group) = nix::unistd::getpeereid(socket)?;
        Ok(Self(user))
    }
}

impl FromStr for User {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Ok(Self(Uid::from_raw(number)));
        }
        match Account::from_name(text) {
            Ok(Some(account)) => Ok(Self(account.uid)),
            Ok(None) => Err(UserError::Unknown { name: text.to_owned() }),
            Err(error) => Err(UserError::NoLookUp { reason: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        assert_eq!("root".parse(), "0".parse::<User>());
        let told = "no such user".parse::<User>().unwrap_err().to_string();
        assert_eq!(told, r#"there is no user "no such user"; a number would do"#);
        assert!("-1".parse::<User>().is_err() && "".parse::<User>().is_err());
    }

    #[test]
    fn the_kernel_knows_who_has_connected() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        assert_eq!(User::of_peer(&socket.into()).unwrap(), User::own());
    }
}
