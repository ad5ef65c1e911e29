# Start of a container, as root in its own mount and process namespaces: HOME NAME=PATH... -- PROGRAM...
# Mounts HOME at /run/home and each PATH at /run/NAME, hides the rest of /run, and starts PROGRAM there.
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t proc proc /proc

# Nothing runs at this address: the sidecar answers.
printf 'nameserver 10.255.0.10\noptions ndots:1 timeout:5 attempts:2\n' >/run/resolv.conf
dns=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$dns")"
[ -e "$dns" ] || : >"$dns"
mount --bind /run/resolv.conf "$dns"

mkdir /run/home
mount --bind "$1" /run/home
shift
while [ "$1" != -- ]; do
  inside=/run/${1%%=*}
  outside=${1#*=}
  if [ -d "$outside" ]; then mkdir "$inside"; else : >"$inside"; fi
  mount --bind "$outside" "$inside"
  shift
done
shift
cd /run/home
exec "$@"
