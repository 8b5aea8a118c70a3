# Cepa in a container: one image for every role, which the command names.
#
#   docker build -t cepa .
#   docker run --rm cepa --help
#   docker run -v data:/data -v ./torrc:/torrc:ro -p 9001:9001 cepa relay -f /torrc
#
# BASE is any image with Node 20.19 or newer (and npm, for the build).
ARG BASE=node:22-bookworm-slim

FROM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY testnet/package.json testnet/
RUN npm ci --ignore-scripts --no-progress
COPY . .
RUN npm run --silent build && npm prune --omit=dev --ignore-scripts --no-progress

FROM ${BASE}
# What installs software is for the build.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
      /usr/local/bin/yarn /usr/local/bin/yarnpkg /usr/local/include /opt/yarn* \
 # A new volume takes the owner of the directory it is put over.
 && mkdir -m 700 /data && mkdir /net && chown 10000:10000 /data /net
COPY --from=build /build/package.json /cepa/
COPY --from=build /build/node_modules /cepa/node_modules
COPY --from=build /build/testnet/package.json /cepa/testnet/
COPY --from=build /build/testnet/bin /cepa/testnet/bin
COPY --from=build /build/dist /cepa/dist
# Links trust nobody's certificate authorities: what a base image brings of them would be read at every start for nothing.
ENV NODE_ENV=production HOME=/data NODE_EXTRA_CA_CERTS=
USER 10000:10000
WORKDIR /data
ENTRYPOINT ["node", "/cepa/testnet/bin/cepa.js"]
CMD ["--help"]
