export default {
  files: ['dist/**/*.test.js', '!dist/**/*.slow.test.js'],
  concurrency: 2,
  timeout: '10m',
  nodeArguments: ['--enable-source-maps'],
};
