//! The network of a run: hosts with their own addresses on one bridge. It exists in network namespaces only, so it has no conflicts
//! with the machine's network, and ends with this process.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;

use crate::bench::Room;

/// Address of the hosts' DNS server (`container.sh`).
const DNS: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 10);

/// The bridge.
pub(super) struct Network {
    bridge: Room,
    ports: AtomicUsize,
}

/// A machine on the network, such as a Pod.
#[derive(Clone, Debug)]
pub struct Host {
    pub(super) room: Room,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Network {
    pub(super) fn new() -> anyhow::Result<Self> {
        let bridge = Room::new()?;
        ip(bridge.file(), "link add bridge type bridge")?;
        ip(bridge.file(), "link set bridge up")?;
        Ok(Self { bridge, ports: AtomicUsize::new(0) })
    }

    /// Adds a machine. All addresses are on-link, because all machines are on one bridge.
    pub(super) fn add(&self, address: Ipv4Addr) -> anyhow::Result<Host> {
        let (room, bridge) = (Room::new()?, self.bridge.file());
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        ip(room.file(), &format!("link add eth0 type veth peer name {port} netns {}", bridge.display()))?;
        ip(bridge, &format!("link set {port} master bridge up"))?;
        ip(room.file(), &format!("address add {address}/32 dev eth0"))?;
        ip(room.file(), "link set eth0 up")?;
        ip(room.file(), &format!("route add default dev eth0 src {address}"))?;
        // No DNS server runs at this address: queries fail at once.
        ip(room.file(), &format!("address add {DNS}/32 dev lo"))?;
        Ok(Host { room, address })
    }
}

impl Host {
    /// Adds an address to it.
    pub fn add_address(&self, address: Ipv4Addr) -> anyhow::Result<()> {
        ip(self.room.file(), &format!("address add {address}/32 dev eth0"))
    }

    /// Unplugs it, or plugs it in again.
    pub fn plug(&self, is_plugged: bool) -> anyhow::Result<()> {
        ip(self.room.file(), &format!("link set eth0 {}", if is_plugged { "up" } else { "down" }))?;
        if is_plugged {
            ip(self.room.file(), &format!("route add default dev eth0 src {}", self.address))?;
        }
        Ok(())
    }

    /// Connects from it, as root.
    pub async fn connect(&self, address: IpAddr, port: u16) -> anyhow::Result<tokio::net::TcpStream> {
        self.room.connect_to((address, port).into()).await
    }
}

fn ip(namespace: &Path, args: &str) -> anyhow::Result<()> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace.display())).args(["--", "ip"]).args(args.split(' '));
    let output = command.output()?;
    ensure!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
