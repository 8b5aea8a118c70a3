/**
 * A throwaway P-256 certificate for tests, valid for a hundred years.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import type { TlsIdentity } from '../runtime/types.js';

const certPem = `-----BEGIN CERTIFICATE-----
MIIBjjCCATOgAwIBAgIUXWyFjjR/ZCOFLEqMIdAbfp3tYewwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQd3d3LmV4YW1wbGUudGVzdDAgFw0yNjExMjExMzU4MTBaGA8y
MTI2MTAyODEzNTgxMFowGzEZMBcGA1UEAwwQd3d3LmV4YW1wbGUudGVzdDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABD4qt8wBiHEdSdgMK9o0MzzfZlzJhEk5On/5
SKfZfV8ARPStptNkdLiJ44ZRIVJlx9rHrxIdrVKA4GMXRRhMVM6jUzBRMB0GA1Ud
DgQWBBR82WTFEr3jteHzPuqH5uvfY4fXKjAfBgNVHSMEGDAWgBR82WTFEr3jteHz
PuqH5uvfY4fXKjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQC/
gqgLa8Rdxq20IboY0zN0JONqI2xkpN3CZ6Z1hDgBjwIhAIMDppie/kbQLlUBGs7b
m1MW9NsRoDQF7UTepY4xVhzL
-----END CERTIFICATE-----
`;

const keyPem = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXSzATX+rqyRV46zW
fuXTlV2DvnDo6RFoplFvxmVAPkuhRANCAAQ+KrfMAYhxHUnYDCvaNDM832ZcyYRJ
OTp/+Uin2X1fAET0rabTZHS4ieOGUSFSZcfax68SHa1SgOBjF0UYTFTO
-----END PRIVATE KEY-----
`;

/** Made with `openssl req -x509 -newkey ec`; secret to nobody. */
export const testTlsIdentity: TlsIdentity = { certPem, keyPem, certDer: new X509Certificate(certPem).raw };
