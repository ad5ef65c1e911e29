//! A program on a host of the network, with its own processes and files, as in a container.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::network::Host;
use crate::bench::Room;

const SCRIPT: &str = include_str!("container.sh");

/// Environment of a program.
pub(super) struct Container<'a> {
    pub(super) host: &'a Host,
    /// Its user and group.
    pub(super) user: u32,
    /// Its working folder.
    pub(super) home: &'a Path,
    /// Files and folders that it sees below `/run`, by name.
    pub(super) sees: &'a [(&'a str, PathBuf)],
    pub(super) environment: &'a [(String, String)],
}

impl Container<'_> {
    /// The command for a program (its path inside). All its children end with it.
    pub(super) fn command(&self, program: &[&str]) -> Command {
        let mut command = within(&self.host.room);
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--", "sh", "-c", SCRIPT, "sh"]);
        command.arg(self.home).args(self.sees.iter().map(|(name, path)| format!("{name}={}", path.display())));
        let user = self.user.to_string();
        command.args(["--", "setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--pdeathsig", "KILL"]);
        command.args(["--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(program);
        command
    }
}

/// A command that runs its further arguments in a network namespace.
pub(super) fn within(room: &Room) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", room.file().display())).arg("--");
    command
}
