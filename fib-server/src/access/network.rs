//! Which Internet addresses a flag means: a network, one address, or any of them.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

/// How many bits of an IPv6 address say that it stands for an IPv4 address.
const MAPPED_LEN: u8 = 96;

/// Addresses that are meant together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// All of them.
    Any,
    /// Those of one network.
    Of(IpNet),
}

/// The text names no network.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// It is none of the three forms.
    #[error("expected a network as in 10.0.0.0/8, an address, or any")]
    Syntax,
    /// It may be a slip, and what it would let in is a guess.
    #[error("the address goes on after its first {} bits: {network} is the network", .network.prefix_len())]
    HostBits {
        /// The network that it is in.
        network: IpNet,
    },
}

impl Network {
    /// Whether the address is one of them. An IPv4 address in IPv6's clothes is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Of(network) => network.contains(&address.to_canonical()),
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Of(address.to_canonical().into()));
        }
        let network: IpNet = text.parse().map_err(|_| NetworkError::Syntax)?;
        if network.trunc() != network {
            return Err(NetworkError::HostBits { network: network.trunc() });
        }
        Ok(Self::Of(canonical(network)))
    }
}

/// The same network, as IPv4 if it is one of IPv4 addresses in IPv6's clothes.
fn canonical(network: IpNet) -> IpNet {
    let unmapped = |address: Ipv6Addr, len: u8| {
        let address = address.to_ipv4_mapped()?;
        Ipv4Net::new(address, len.checked_sub(MAPPED_LEN)?).ok()
    };
    match network {
        IpNet::V6(it) => unmapped(it.addr(), it.prefix_len()).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Of(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_its_network() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "192.0.2.1", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
        ] {
            assert!(contains(network, inside), "{network} {inside}");
            assert!(!contains(network, outside), "{network} {outside}");
        }
        assert!(contains("any", "192.0.2.1") && contains("any", "::1"));
    }

    #[test]
    fn ipv4_in_the_clothes_of_ipv6_is_ipv4() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("10.0.0.0/8", "::ffff:11.1.2.3"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(contains("::ffff:10.0.0.1", "10.0.0.1"));
        // A network of IPv6 that spans them is none of theirs.
        assert!(!contains("::/0", "::ffff:10.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10", "10.0.0.0/33", "::/129", "10.0.0.0/", "all", "ANY", "localhost"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Syntax), "{text}");
        }
        let slip = "10.0.0.5/8".parse::<Network>().unwrap_err();
        let told = "the address goes on after its first 8 bits: 10.0.0.0/8 is the network";
        assert_eq!(slip.to_string(), told);
    }
}
