#!/bin/sh
# Makes every .pem file of this folder again: sh generate.sh (needs openssl 3 and go). The keys are for tests only.
# Afterwards `cargo test --lib federation::trust` fails and prints the right content of the two .anchor.pem files.
set -eu
cd "$(dirname "$0")"
conf=$(mktemp)
trap 'rm -f "$conf"' EXIT
cat >"$conf" <<X
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
X
root() { # NAME KEY-FILE [req options]
    name=$1 key=$2
    shift 2
    openssl req -x509 -config "$conf" -extensions ca -key "$key" -subj "/O=Istio/CN=Root CA" -days 36500 "$@" -out "$name.pem"
}
made() { # NAME [genpkey options]: a root with a key of its own, which is thrown away
    name=$1
    shift
    openssl genpkey "$@" -out "$conf.key" 2>/dev/null
    root "$name" "$conf.key" -sha256
    rm -f "$conf.key"
}
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa-2048.key.pem 2>/dev/null
root rsa-2048 rsa-2048.key.pem -sha256
root rsa-sha1 rsa-2048.key.pem -sha1
root rsa-md5 rsa-2048.key.pem -md5
root rsa-sha512 rsa-2048.key.pem -sha512
root rsa-pss rsa-2048.key.pem -sha256 -sigopt rsa_padding_mode:pss
made rsa-1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
made rsa-2047 -algorithm RSA -pkeyopt rsa_keygen_bits:2047
made rsa-4096 -algorithm RSA -pkeyopt rsa_keygen_bits:4096
made rsa-4104 -algorithm RSA -pkeyopt rsa_keygen_bits:4104
made rsa-e3 -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3
made p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
made secp256k1 -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
made ed25519 -algorithm ED25519
openssl ecparam -name prime256v1 -genkey -noout | openssl ec -conv_form compressed -out "$conf.key" 2>/dev/null
root p256-compressed "$conf.key" -sha256
openssl ecparam -name prime256v1 -genkey -noout -param_enc explicit -out "$conf.key"
root p256-explicit "$conf.key" -sha256
rm -f "$conf.key"
go run go-root.go >go-root.pem
