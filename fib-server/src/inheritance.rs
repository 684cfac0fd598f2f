//! What a server gives a child that serves a part of its clients, over the socket to it: which part
//! of the counters is the child's, and descriptors, as copies that share the open file; and later,
//! whenever that changes, how it is to serve.

use std::{
    ffi::{OsStr, OsString},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

/// How many descriptors the kernel takes at a time.
const DESCRIPTORS_MAX: usize = 253;

/// Room for so many.
const SPACE: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Sends the number and the descriptors.
pub(crate) fn send(socket: impl AsFd, number: usize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        let told = format!("a child takes {DESCRIPTORS_MAX} descriptors, not {}", fds.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    let number = number.to_ne_bytes();
    sendmsg(socket, &[IoSlice::new(&number)], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Receives them.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut number = [0; size_of::<usize>()];
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut number)];
    let message = recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::empty())?;
    if message.bytes != size_of::<usize>() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    // This process may have children of its own.
    fds.iter().try_for_each(|fd| fcntl_setfd(fd, FdFlags::CLOEXEC))?;
    Ok((usize::from_ne_bytes(number), fds))
}

/// Sends arguments: their length in bytes, then each of them with a zero behind it.
pub(crate) fn send_arguments(
    mut socket: impl Write,
    arguments: impl Iterator<Item = impl AsRef<OsStr>>,
) -> io::Result<()> {
    let mut message = vec![0; size_of::<u32>()];
    for argument in arguments {
        message.extend_from_slice(argument.as_ref().as_bytes());
        message.push(0);
    }
    let len = u32::try_from(message.len() - size_of::<u32>()).map_err(io::Error::other)?;
    message[..size_of::<u32>()].copy_from_slice(&len.to_ne_bytes());
    socket.write_all(&message)
}

/// Receives them; `None` once there will be no more.
pub(crate) fn receive_arguments(mut socket: impl Read) -> io::Result<Option<Vec<OsString>>> {
    let mut len = [0; size_of::<u32>()];
    match socket.read_exact(&mut len) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let mut message = Vec::new();
    let len = u32::from_ne_bytes(len).into();
    socket.take(len).read_to_end(&mut message)?;
    if message.len() as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let arguments = message.split_inclusive(|&byte| byte == 0);
    let arguments = arguments.map(|it| OsString::from_vec(it[..it.len() - 1].to_vec()));
    Ok(Some(arguments.collect()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptors_arrive_as_they_were_sent() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send(&ours, 7, &[writer.as_fd(), ours.as_fd()]).unwrap();
        drop(writer);
        let (number, fds) = receive(&theirs).unwrap();
        assert_eq!((number, fds.len()), (7, 2));
        let writer = fds.into_iter().next().unwrap();
        io::PipeWriter::from(writer).write_all(b"the same pipe").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "the same pipe");
    }

    #[test]
    fn arguments_arrive_as_they_were_sent() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send_arguments(&ours, ["--max-n", "", "7 8"].into_iter()).unwrap();
        send_arguments(&ours, std::iter::empty::<&str>()).unwrap();
        drop(ours);
        assert_eq!(receive_arguments(&theirs).unwrap().unwrap(), ["--max-n", "", "7 8"]);
        assert_eq!(receive_arguments(&theirs).unwrap().unwrap(), [""; 0]);
        assert_eq!(receive_arguments(&theirs).unwrap(), None);
    }

    #[test]
    fn too_many_are_refused() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let fds = [ours.as_fd(); DESCRIPTORS_MAX + 1];
        assert_eq!(send(&ours, 0, &fds).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_server_that_is_gone_gives_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
