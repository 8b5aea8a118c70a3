// Interop with C tor, and whole networks of processes under load: minutes, not seconds. `npm run test:interop`.
export default {
  files: ['dist/**/*.slow.test.js'],
  concurrency: 1,
  timeout: '20m',
  nodeArguments: ['--enable-source-maps'],
};
