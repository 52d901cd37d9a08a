//! Which addresses peers are told, and which socket stands behind each.

use std::net::{IpAddr, SocketAddr};

use crate::settings::InvalidSetting;

/// An address to bind, and the addresses that peers are told instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindPlan {
    pub(crate) bind: IpAddr,
    pub(crate) advertised: Vec<Advertised>,
}

/// An address that peers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) ip: IpAddr,
    /// It is one of the machine's own: datagrams that were sent to it name it, and can be sent from it.
    pub(crate) own: bool,
}

/// Decides what to bind and what to advertise.
///
/// `machine` lists the machine's own addresses. A bound address that nobody could be told is left out.
pub(crate) fn plan(
    bind_ips: &[IpAddr],
    advertise_ips: &[IpAddr],
    machine: &[IpAddr],
) -> Result<Vec<BindPlan>, InvalidSetting> {
    let mut plans = Vec::new();
    for is_ipv4 in [true, false] {
        let binds: Vec<_> = bind_ips.iter().copied().filter(|ip| ip.is_ipv4() == is_ipv4).collect();
        let told: Vec<_> = advertise_ips.iter().copied().filter(|ip| ip.is_ipv4() == is_ipv4).collect();
        if binds.is_empty() && !told.is_empty() {
            let problem = format!("{} has no bound address of its family", told[0]);
            return Err(InvalidSetting::new("media.advertise_ips", problem));
        }
        if binds.len() > 1 && !told.is_empty() && told.len() != binds.len() {
            let problem = format!("{} addresses for {} bound ones of the family", told.len(), binds.len());
            return Err(InvalidSetting::new("media.advertise_ips", problem));
        }
        for (index, &bind) in binds.iter().enumerate() {
            let told = match (told.is_empty(), binds.len()) {
                (true, _) => default_for(bind, machine),
                (false, 1) => told.clone(),
                (false, _) => vec![told[index]],
            };
            let advertised = told.into_iter().map(|ip| Advertised {
                ip,
                own: ip == bind || (bind.is_unspecified() && machine.contains(&ip)),
            });
            plans.push(BindPlan { bind, advertised: advertised.collect() });
        }
    }
    plans.retain(|plan| !plan.advertised.is_empty());
    Ok(plans)
}

/// What peers are told of a bound address if nothing is set.
fn default_for(bind: IpAddr, machine: &[IpAddr]) -> Vec<IpAddr> {
    if !bind.is_unspecified() {
        return vec![bind];
    }
    let family = machine.iter().copied().filter(|ip| ip.is_ipv4() == bind.is_ipv4() && !is_link_local(*ip));
    let (loopback, others): (Vec<_>, Vec<_>) = family.partition(IpAddr::is_loopback);
    if others.is_empty() { loopback } else { others }
}

/// Link-local addresses mean nothing without an interface, which candidates cannot name.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The advertised addresses of one bound socket.
#[derive(Debug, Clone)]
pub(crate) struct AddressMap {
    entries: Vec<(SocketAddr, bool)>,
    wildcard: bool,
}

impl AddressMap {
    /// `bound` is where the socket is, with its real port, which is advertised too.
    pub(crate) fn new(plan: &BindPlan, bound: SocketAddr) -> Self {
        let entry = |advertised: &Advertised| (SocketAddr::new(advertised.ip, bound.port()), advertised.own);
        AddressMap {
            entries: plan.advertised.iter().map(entry).collect(),
            wildcard: plan.bind.is_unspecified(),
        }
    }

    /// All of them.
    pub(crate) fn advertised(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.entries.iter().map(|entry| entry.0)
    }

    /// The address that a peer used whose datagram came to `own` address of the machine. Behind a NAT the address
    /// that the peer used cannot be known; then it is the first.
    pub(crate) fn translate(&self, own: Option<IpAddr>) -> Option<SocketAddr> {
        let direct = self.entries.iter().find(|(address, _)| Some(address.ip()) == own);
        direct.or(self.entries.first()).map(|entry| entry.0)
    }

    /// Whether this socket stands behind an advertised address, and from which of the machine's addresses to send.
    pub(crate) fn source_of(&self, advertised: SocketAddr) -> Option<Option<IpAddr>> {
        let (address, own) = self.entries.iter().find(|entry| entry.0 == advertised)?;
        Some((self.wildcard && *own).then_some(address.ip()))
    }
}

/// The machine's addresses.
pub(crate) fn machine_ips() -> std::io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn told(plans: &[BindPlan]) -> Vec<(String, Vec<String>)> {
        let ips = |plan: &BindPlan| plan.advertised.iter().map(|a| a.ip.to_string()).collect();
        plans.iter().map(|plan| (plan.bind.to_string(), ips(plan))).collect()
    }

    const MACHINE: [&str; 5] = ["127.0.0.1", "10.0.0.5", "169.254.1.1", "::1", "fe80::1"];

    #[test]
    fn a_bound_address_is_told_as_it_is() {
        let plans = plan(&ips(&["10.0.0.5"]), &[], &ips(&MACHINE)).unwrap();
        assert_eq!(told(&plans), [("10.0.0.5".into(), vec!["10.0.0.5".into()])]);
    }

    #[test]
    fn an_unspecified_address_stands_for_what_others_can_reach_else_for_loopback() {
        let plans = plan(&ips(&["0.0.0.0", "::"]), &[], &ips(&MACHINE)).unwrap();
        let expected = [("0.0.0.0".into(), vec!["10.0.0.5".into()]), ("::".into(), vec!["::1".into()])];
        assert_eq!(told(&plans), expected);
    }

    #[test]
    fn a_family_that_the_machine_lacks_is_left_out() {
        let plans = plan(&ips(&["0.0.0.0", "::"]), &[], &ips(&["127.0.0.1", "fe80::1"])).unwrap();
        assert_eq!(told(&plans), [("0.0.0.0".into(), vec!["127.0.0.1".into()])]);
    }

    #[test]
    fn behind_a_nat_every_datagram_came_to_the_public_address() {
        let plans = plan(&ips(&["0.0.0.0"]), &ips(&["203.0.113.7"]), &ips(&MACHINE)).unwrap();
        let map = AddressMap::new(&plans[0], "0.0.0.0:7700".parse().unwrap());
        let public: SocketAddr = "203.0.113.7:7700".parse().unwrap();
        assert_eq!(map.translate(Some("10.0.0.5".parse().unwrap())), Some(public));
        assert_eq!(map.translate(None), Some(public));
        // The kernel refuses to send from an address that is not its own.
        assert_eq!(map.source_of(public), Some(None));
        assert_eq!(map.source_of("10.0.0.5:7700".parse().unwrap()), None);
    }

    #[test]
    fn one_of_several_own_addresses_answers_for_itself() {
        let plans = plan(&ips(&["0.0.0.0"]), &[], &ips(&["10.0.0.5", "10.0.0.6"])).unwrap();
        let map = AddressMap::new(&plans[0], "0.0.0.0:7700".parse().unwrap());
        let second: SocketAddr = "10.0.0.6:7700".parse().unwrap();
        assert_eq!(map.translate(Some(second.ip())), Some(second));
        assert_eq!(map.source_of(second), Some(Some(second.ip())));
    }

    #[test]
    fn several_bound_addresses_need_one_told_address_each() {
        let two = ips(&["10.0.0.5", "10.0.0.6"]);
        let plans = plan(&two, &ips(&["203.0.113.7", "203.0.113.8"]), &[]).unwrap();
        assert_eq!(told(&plans)[1], ("10.0.0.6".into(), vec!["203.0.113.8".into()]));
        assert_eq!(plan(&two, &ips(&["203.0.113.7"]), &[]).unwrap_err().name, "media.advertise_ips");
        assert_eq!(plan(&two, &ips(&["2001:db8::1"]), &[]).unwrap_err().name, "media.advertise_ips");
    }

    #[test]
    fn the_machine_has_addresses() {
        assert!(!machine_ips().unwrap().is_empty());
    }
}
