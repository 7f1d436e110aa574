# Writes seeds into corpus/TARGET of the working directory. $M is moby, $R the root of the repository.
set -eu
for target in yaml label image_config reference deb modinfo layout layer registry inspect cpio deflate loader signature verity; do mkdir -p corpus/$target; done
n=0; for file in $R/examples/*.yml $R/pkg/*/build.yml; do n=$((n + 1)); cp $file corpus/yaml/$n; done
n=0; for name in nginx docker.io/library/nginx:latest a.b:80/c/d@sha256:$(printf '0%.0s' $(seq 64)); do
  n=$((n + 1)); printf %s $name > corpus/reference/$n; done
n=0; for text in '{"capabilities": ["all"], "binds": ["/dev:/dev"], "pid": "host"}' 'net: host
runtime: {mkdir: [/a], bindNS: {net: /run/n}}' \
  'resources: {memory: {limit: 1024}}
rlimits: ["nofile,1,2"]'; do n=$((n + 1)); printf '%s\n' "$text" > corpus/label/$n; done
cat > corpus/image_config/one <<'END'
{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/a"],"Cmd":["b"],"Env":["A=b"],"User":"1:2","WorkingDir":"/c",
"Labels":{"org.mobyproject.config":"{\"capabilities\": [\"all\"]}"}},"rootfs":{"type":"layers","diff_ids":[]}}
END
mkdir -p work; for size in 512 1024; do for hash in sha256 sha512; do
  head -c 20480 $R/Cargo.lock > work/data
  veritysetup format --hash=$hash --data-block-size=$size --hash-block-size=512 --salt=00ff work/data work/area >/dev/null
  cat work/area work/data > corpus/verity/$hash-$size; rm work/area; done; done
mkdir -p work/p/DEBIAN work/p/usr/bin; echo a > work/p/usr/bin/a; ln -sf a work/p/usr/bin/b
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: p\n' > work/p/DEBIAN/control
for how in gzip xz zstd none; do dpkg-deb -Z$how -b work/p corpus/deb/$how >/dev/null; done
tar -C work/p -cf corpus/layer/ustar --format=ustar usr; tar -C work/p -cf corpus/layer/pax --format=pax usr
ln -f work/p/usr/bin/a work/p/usr/bin/hard; mkfifo -m 600 work/p/usr/pipe 2>/dev/null || true
touch work/p/usr/.wh.gone; tar -C work/p -cf corpus/layer/gnu --format=gnu usr
(cd work/p; find . | cpio -o -H newc --quiet) > corpus/cpio/one
cp corpus/cpio/one corpus/inspect/cpio; gzip -kfc corpus/cpio/one > corpus/inspect/gzip; zstd -qc corpus/cpio/one > corpus/inspect/zstd
# Short streams: long ones take most of the time.
for level in 1 6 9; do head -c 3000 $R/Cargo.lock | gzip -nc -$level | tail -c +11 | head -c -8 > corpus/deflate/$level; done
printf '%s\n' 'char modinfo[] __attribute__((section(".modinfo"))) = "depends=two\0alias=pci:*\0name=one";' > work/one.c
if command -v cc >/dev/null; then cc -c work/one.c -o corpus/modinfo/one; fi
cat > corpus/layout/index <<'END'
{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}
---
{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",@0},"layers":[]}
---
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",@1,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}
END
cat > corpus/layout/saved <<'END'
{}
---
{}
---
[{"Config":"a.json","RepoTags":["a:1"],"Layers":["b/layer.tar"]}]
END
# Lines of headers end with CR LF.
answer() { status=$1; shift; printf 'HTTP/1.1 %s\r\n' "$status"; for header; do printf '%s\r\n' "$header"; done; printf '\r\n'; }
manifest='{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",'
{ echo pull
  answer '200 OK' 'Content-Type: application/vnd.oci.image.index.v1+json' 'Connection: close'
  echo '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",@1,"platform":{"os":"linux","architecture":"amd64"}}]}'
  echo ---; answer '200 OK' 'Connection: close'; echo "$manifest@2},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",@3}]}"
  echo ---; answer '200 OK' 'Connection: close'; echo '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
  echo ---; answer '206 Partial Content' 'Content-Range: bytes 0-6/7' 'Connection: close'; echo layer1; } > corpus/registry/pull
{ echo pull password
  answer '401 Unauthorized' 'WWW-Authenticate: Bearer realm="http://a/token",service="a",scope="repository:a/b:pull"' 'Content-Length: 0'
  echo ---; answer '200 OK' 'Connection: close'; echo '{"token":"abc","expires_in":60}'
  echo ---; answer '307 Temporary Redirect' 'Location: http://a/v2/a/b/manifests/2' 'Content-Length: 0'
  echo ---; answer '200 OK' 'Content-Type: application/vnd.docker.distribution.manifest.v2+json' 'Connection: close'; echo '{"schemaVersion":2}'; } > corpus/registry/token
{ echo pull token
  answer '401 Unauthorized' 'WWW-Authenticate: Basic realm="a"' 'WWW-Authenticate: Bearer realm="http://a/token"' 'Content-Length: 0'
  echo ---; answer '403 Forbidden' 'Transfer-Encoding: chunked'; printf '5\r\n{"a":\r\n3\r\n"b"}\r\n0\r\n\r\n'; } > corpus/registry/denied
{ echo pull
  answer '404 Not Found' 'Connection: close'; echo '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
  echo ---; answer '200 OK' 'Link: </v2/a/b/tags/list?n=1&last=1>; rel="next"' 'Connection: close'; echo '{"name":"a/b","tags":["2","v1"]}'; } > corpus/registry/tags
{ echo pull
  answer '429 Too Many Requests' 'Retry-After: 1' 'Content-Length: 0'
  echo ---; answer '500 Internal Server Error' 'Content-Length: 3'; printf 'bad'; } > corpus/registry/limit
{ echo push
  answer '404 Not Found' 'Content-Length: 0'
  echo ---; answer '202 Accepted' 'Location: /v2/a/b/blobs/uploads/1?state=2' 'Content-Length: 0'
  echo ---; answer '201 Created' 'Content-Length: 0'
  echo ---; answer '200 OK' 'Content-Length: 0'; echo ---; answer '201 Created' 'Content-Length: 0'; } > corpus/registry/push
cat > work/tiny.yml <<'END'
files: [{path: a, contents: b}]
END
$M -q build -f tar,kernel+initrd --dir work work/tiny.yml
truncate -s 48K work/disk; echo '1,,c' | sfdisk -q work/disk
qemu-img convert -f raw -O qcow2 -o cluster_size=512 work/disk corpus/inspect/qcow2
qemu-img convert -f raw -O vmdk work/disk corpus/inspect/vmdk
mkfs.fat -C work/fat 64 >/dev/null 2>&1 && mcopy -i work/fat work/tiny.yml ::/ && cp work/fat corpus/inspect/fat
genisoimage -quiet -no-pad -R -o corpus/inspect/cd work/tiny.yml 2>/dev/null || true
sgdisk -a 1 -n 1:40:60 work/disk >/dev/null 2>&1 && cp work/disk corpus/inspect/gpt || true
cp /usr/lib/systemd/boot/efi/linuxx64.efi.stub corpus/loader/ 2>/dev/null || true
cp work/tiny* corpus/inspect/; rm -rf work
cp $R/testdata/trust/p256.pub corpus/signature/key
printf '%s' '{"critical":{"identity":{"docker-reference":"a"},"image":{"docker-manifest-digest":"sha256:00"},"type":"cosign container image signature"},"optional":null}' > corpus/signature/payload
# A keyless signature as far as its structure goes: a trusted root, and a bundle with a certificate and a log entry.
mkdir work; cp $R/Cargo.toml work/file; $M -q sign --key $R/testdata/trust/p256.key work/file; cp work/file.sigstore.json corpus/signature/file
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout work/key -subj / -days 9000 -addext 'subjectAltName=URI:https://example.org/a' \
  -addext '1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://issuer.example.org' -outform DER -out work/certificate 2>/dev/null
certificate=$(base64 -w0 work/certificate); key=$(sed /-----/d $R/testdata/trust/p256.pub | tr -d '\n'); start='"validFor":{"start":"2021-01-12T11:53:27Z"}'
log="{\"publicKey\":{\"rawBytes\":\"$key\",$start},\"logId\":{\"keyId\":\"AAAA\"}}"
authority="{\"certChain\":{\"certificates\":[{\"rawBytes\":\"$certificate\"}]},$start}"
payload=$(printf '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"%064d"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}' 0 | base64 -w0)
body=$(printf '{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"%064d"},"payloadHash":{"algorithm":"sha256","value":"%064d"},"signatures":[{"signature":"AAAA","verifier":"AAAA"}]}}' 0 0 | base64 -w0)
entry="{\"logIndex\":\"5\",\"logId\":{\"keyId\":\"AAAA\"},\"kindVersion\":{\"kind\":\"dsse\",\"version\":\"0.0.1\"},\"integratedTime\":\"1700000000\",\"inclusionPromise\":{\"signedEntryTimestamp\":\"AAAA\"},\"inclusionProof\":{\"logIndex\":\"5\",\"rootHash\":\"AAAA\",\"treeSize\":\"6\",\"hashes\":[\"AAAA\"],\"checkpoint\":{\"envelope\":\"a\\n6\\nAAAA\\n\\n— a AAAAAA==\\n\"}},\"canonicalizedBody\":\"$body\"}"
{ printf '%s\n' "{\"tlogs\":[$log],\"certificateAuthorities\":[$authority],\"ctlogs\":[$log],\"timestampAuthorities\":[$authority]}"; echo ---
  printf '%s\n' "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":{\"certificate\":{\"rawBytes\":\"$certificate\"},\"tlogEntries\":[$entry],\"timestampVerificationData\":{\"rfc3161Timestamps\":[{\"signedTimestamp\":\"MAMCAQA=\"}]}},\"dsseEnvelope\":{\"payload\":\"$payload\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[{\"sig\":\"AAAA\"}]}}"
} > corpus/signature/keyless
rm -r work
