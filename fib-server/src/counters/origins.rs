//! How many connections there are from each address: exact, and in memory whose size does not
//! depend on who connects.
//!
//! An open connection has a slot in its process's table, which says where its client is from. So
//! many connections are from somewhere as slots say so, in all tables. A slot is found near its
//! home, the place that follows from what it says; how far from home any slot was ever taken is as
//! far as one has to look. A table has one writer, its process, and of one that is killed it can
//! be cleared.

use std::{
    hint, io, iter,
    net::IpAddr,
    num::NonZeroU64,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{peer::Peer, sys::shared::Shared};

/// How many slots a table has for each of its homes: the limit of connections can be raised while
/// the server runs, and then its slots are found farther from home.
const SLOTS_A_HOME: usize = 2;

/// How many connections a table is made for at most.
const CONNECTIONS_MAX: usize = 1 << 20;

/// What spreads addresses that follow each other: 2^64 over the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where a client is from: an IPv4 address, or the network of 2^64 addresses that a customer of
/// IPv6 has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(NonZeroU64);

impl Origin {
    /// `None` for who comes over no network.
    pub(crate) fn new(peer: Peer) -> Option<Self> {
        let Peer::Internet(address) = peer else { return None };
        let number = match address.ip().to_canonical() {
            // As a network of IPv6 these would be of multicast, from which nobody comes.
            IpAddr::V4(address) => 0xff << 56 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        // The network of the loopback is 0, which is no number of a slot; nobody comes from 1.
        Some(Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN)))
    }
}

/// The tables of all processes, one after the other.
#[derive(Debug)]
pub(super) struct Origins {
    words: Words,
    processes: usize,
    own: usize,
}

#[derive(Debug)]
enum Words {
    /// So many, once somebody needs them.
    Alone(OnceLock<Box<[AtomicU64]>>, usize),
    Shared(Shared<AtomicU64>),
}

/// The table of one process.
struct Table<'a> {
    /// How many slots from its home on one has to look at.
    reach: &'a AtomicU64,
    /// 0 is a free one.
    slots: &'a [AtomicU64],
}

impl Origins {
    /// For one process.
    pub(super) fn alone(connections: usize) -> Self {
        let words = Words::Alone(OnceLock::new(), words_for(connections));
        Self { words, processes: 1, own: 0 }
    }

    /// For so many processes, of which any may have all the connections.
    pub(super) fn shared(processes: usize, connections: usize) -> io::Result<Self> {
        let words = Words::Shared(Shared::new(processes * words_for(connections))?);
        Ok(Self { words, processes, own: 0 })
    }

    /// Those that another process has made.
    pub(super) fn inherited(memory: OwnedFd, processes: usize, own: usize) -> io::Result<Self> {
        Ok(Self { words: Words::Shared(Shared::map(memory)?), processes, own })
    }

    /// The memory, if it is shared.
    pub(super) fn memory(&self) -> Option<BorrowedFd<'_>> {
        match &self.words {
            Words::Alone(..) => None,
            Words::Shared(words) => Some(words.memory()),
        }
    }

    /// Takes one of `max` places that there are for an origin; `None` where none is left.
    pub(super) fn claim(&self, origin: Origin, max: u64) -> Option<usize> {
        loop {
            let slot = self.table(self.own).take(origin)?;
            if self.count(origin) <= max {
                return Some(slot);
            }
            self.release(slot);
            // Unless somebody else wanted the last place just now, and both have stepped back.
            if self.count(origin) >= max {
                return None;
            }
            hint::spin_loop();
        }
    }

    /// Gives a place back.
    pub(super) fn release(&self, slot: usize) {
        self.table(self.own).slots[slot].store(0, SeqCst);
    }

    /// Gives back all that a process had, which is gone.
    pub(super) fn end(&self, process: usize) {
        let table = self.table(process);
        let used = table.homes().saturating_add(table.reach());
        for slot in table.slots.iter().take(used).filter(|it| it.load(SeqCst) != 0) {
            slot.store(0, SeqCst);
        }
        table.reach.store(0, SeqCst);
    }

    fn count(&self, origin: Origin) -> u64 {
        (0..self.processes).map(|process| self.table(process).count(origin)).sum()
    }

    fn table(&self, process: usize) -> Table<'_> {
        let words: &[AtomicU64] = match &self.words {
            Words::Alone(words, len) => {
                words.get_or_init(|| iter::repeat_with(AtomicU64::default).take(*len).collect())
            }
            Words::Shared(words) => words,
        };
        let len = words.len() / self.processes;
        let (reach, slots) = words[process * len..][..len].split_at(1);
        Table { reach: &reach[0], slots }
    }
}

impl Table<'_> {
    /// The free slot that is next to its home.
    fn take(&self, origin: Origin) -> Option<usize> {
        let home = self.home(origin);
        for (distance, slot) in self.slots[home..].iter().enumerate() {
            if slot.load(SeqCst) == 0 {
                // Before it is taken: who counts must not miss it.
                self.reach.fetch_max(distance as u64 + 1, SeqCst);
                if slot.compare_exchange(0, origin.0.get(), SeqCst, SeqCst).is_ok() {
                    return Some(home + distance);
                }
            }
        }
        None
    }

    fn count(&self, origin: Origin) -> u64 {
        let near = self.slots[self.home(origin)..].iter().take(self.reach());
        near.map(|slot| u64::from(slot.load(SeqCst) == origin.0.get())).sum()
    }

    fn home(&self, origin: Origin) -> usize {
        let spread = u128::from(origin.0.get().wrapping_mul(SPREAD));
        usize::try_from((spread * self.homes() as u128) >> 64).unwrap_or_default()
    }

    fn homes(&self) -> usize {
        self.slots.len() / SLOTS_A_HOME
    }

    fn reach(&self) -> usize {
        usize::try_from(self.reach.load(SeqCst)).unwrap_or(usize::MAX)
    }
}

/// A third of the homes stay empty, so that most slots are near theirs.
fn words_for(connections: usize) -> usize {
    let homes = (connections.min(CONNECTIONS_MAX) * 3).div_ceil(2);
    1 + homes * SLOTS_A_HOME
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, thread};

    use super::*;

    fn origin(ip: &str) -> Origin {
        Origin::new(Peer::Internet((ip.parse::<IpAddr>().unwrap(), 1).into())).unwrap()
    }

    /// As two processes have them, in one.
    fn two(connections: usize) -> [Origins; 2] {
        let first = Origins::shared(2, connections).unwrap();
        let memory = first.memory().unwrap().try_clone_to_owned().unwrap();
        let second = Origins::inherited(memory, 2, 1).unwrap();
        [first, second]
    }

    #[test]
    fn an_address_or_a_network_is_an_origin() {
        let v4 = [origin("127.0.0.1"), origin("::ffff:127.0.0.1"), origin("127.0.0.2")];
        assert!(v4[0] == v4[1] && v4[1] != v4[2]);
        let v6 = [origin("2001:db8::1"), origin("2001:db8::2:1"), origin("2001:db8:0:1::1")];
        assert!(v6[0] == v6[1] && v6[1] != v6[2]);
        assert_ne!(origin("::1"), origin("2001:db8::1"));
        assert_eq!((Origin::new(Peer::Local), Origin::new(Peer::Unknown)), (None, None));
    }

    #[test]
    fn each_origin_has_its_places_in_all_processes_together() {
        let [first, second] = two(10);
        let (one, other) = (origin("127.0.0.2"), origin("127.0.0.3"));
        let slot = first.claim(one, 2).unwrap();
        assert!(second.claim(one, 2).is_some());
        assert!(first.claim(one, 2).is_none() && second.claim(one, 2).is_none());
        assert!(first.claim(other, 2).is_some());
        first.release(slot);
        assert!(second.claim(one, 2).is_some() && second.claim(one, 2).is_none());
        first.end(1);
        assert!(first.claim(one, 2).is_some() && first.claim(one, 2).is_some());
    }

    /// Every number is right for as many connections as there may be, and when others have come
    /// and gone from everywhere.
    #[test]
    fn the_count_is_exact() {
        const CONNECTIONS: u32 = 1_000;
        let origins = Origins::alone(CONNECTIONS as usize);
        let from = |number: u32| origin(&Ipv4Addr::from(number).to_string());
        for number in 0..100_000 {
            let slot = origins.claim(from(number), 1).unwrap();
            origins.release(slot);
        }
        for number in 0..CONNECTIONS {
            assert!(origins.claim(from(number % 10), u64::from(CONNECTIONS) / 10).is_some());
        }
        for number in 0..10 {
            assert_eq!(origins.count(from(number)), 100);
            assert!(origins.claim(from(number), 100).is_none());
        }
        // More than were expected, because the limit was raised.
        for number in 10..2 * CONNECTIONS {
            assert!(origins.claim(from(number), 1).is_some());
            assert_eq!(origins.count(from(number)), 1);
        }
    }

    /// Neither one too many, nor nobody where there is a place.
    #[test]
    fn the_last_place_is_taken_by_one() {
        let (both, one) = (two(4), origin("127.0.0.2"));
        thread::scope(|scope| {
            for origins in &both {
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        if let Some(slot) = origins.claim(one, 1) {
                            assert!(origins.count(one) >= 1);
                            origins.release(slot);
                        }
                    }
                });
            }
        });
        assert!(both[0].claim(one, 1).is_some() && both[1].claim(one, 1).is_none());
    }
}
