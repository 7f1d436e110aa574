// Verifies a bundle by @sigstore/verify, and ends with 1 if it refuses it. Arguments: bundle, public key in PEM,
// the file that is signed unless the bundle has it.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const [bundleFile, keyFile, file] = process.argv.slice(2);
const publicKey = crypto.createPublicKey(fs.readFileSync(keyFile));
const hint = crypto.createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
const find = (wanted) => {
  if (wanted !== hint) throw new Error(`unknown key ${wanted}, not ${hint}`);
  return { publicKey, validFor: () => true };
};
const root = TrustedRoot.fromJSON({ mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' });
const options = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 };
try {
  const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile, 'utf8')));
  const entity = toSignedEntity(bundle, file && fs.readFileSync(file));
  new Verifier(toTrustMaterial(root, find), options).verify(entity);
} catch (error) {
  console.error(`refused: ${error.message}`);
  process.exit(1);
}
