// Signs a file by @sigstore/sign, and prints the bundle: as a statement (dsse) or as a file (message).
// Arguments: dsse|message, private key in PEM, file.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const { bundleToJSON } = require('@sigstore/bundle');
const { DSSEBundleBuilder, MessageSignatureBundleBuilder } = require('@sigstore/sign');

const [form, keyFile, file] = process.argv.slice(2);
const key = crypto.createPrivateKey(fs.readFileSync(keyFile));
const der = crypto.createPublicKey(key).export({ type: 'spki', format: 'der' });
const hint = crypto.createHash('sha256').update(der).digest('base64');
const publicKey = crypto.createPublicKey(key).export({ type: 'spki', format: 'pem' });
const signer = {
  sign: async (data) => ({
    signature: crypto.sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', data, key),
    key: { $case: 'publicKey', publicKey, hint },
  }),
};
const Builder = form === 'dsse' ? DSSEBundleBuilder : MessageSignatureBundleBuilder;
const artifact = { data: fs.readFileSync(file), type: form === 'dsse' ? 'application/vnd.in-toto+json' : undefined };
new Builder({ signer, witnesses: [] }).create(artifact).then((bundle) => {
  process.stdout.write(JSON.stringify(bundleToJSON(bundle)));
});
