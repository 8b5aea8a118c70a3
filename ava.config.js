export default {
  files: ['dist/**/*.test.js', '!dist/**/*.slow.test.js'],
  concurrency: 2,
  timeout: '120s',
  nodeArguments: ['--enable-source-maps'],
};
