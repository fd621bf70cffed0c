// Runs in a sandbox and prints what is wrong with it, one sentence per line. Nothing printed but "ready": it holds.
const fs = require('fs')
const net = require('net')

const [secretFile, proxyPort] = process.argv.slice(1)
const wrong = (sentence) => console.log(sentence)

if (fs.existsSync(secretFile)) wrong(`a file of the host is visible: ${secretFile}`)
if (fs.readFileSync('/proc/1/environ').length > 0) wrong("process 1 shows the environment it was started with")
if (fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length > 8) wrong("the host's processes are visible")
const interfaces = fs.readFileSync('/proc/net/dev', 'utf8').split('\n').slice(2).filter(Boolean)
if (interfaces.length !== 1) wrong('there is a network interface besides the loopback')
const status = fs.readFileSync('/proc/self/status', 'utf8')
if (!/^Seccomp:\t2$/m.test(status)) wrong('no system-call filter is in force')
if (!/^CapEff:\t0+$/m.test(status)) wrong('the process has capabilities')

const client = net.connect(Number(proxyPort), '127.0.0.1', () =>
  client.write('CONNECT example.invalid:443 HTTP/1.1\r\n\r\n'),
)
let answer = ''
client.on('data', (bytes) => (answer += bytes))
client.on('error', (error) => wrong(`the egress proxy cannot be reached: ${error.message}`))
client.on('close', () => {
  if (!answer.startsWith('HTTP/1.1 403 ')) wrong('the egress proxy lets a foreign host through')
  console.log('ready')
})
