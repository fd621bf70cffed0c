// Runs in a sandbox and prints one line per property: its name, "ok" or what was seen instead.
const fs = require('fs')
const net = require('net')
const { spawnSync } = require('child_process')

const [secretFile, proxyPort, hostPort] = process.argv.slice(1)

const tell = (name, seen) => console.log(`${name}\t${seen || 'ok'}`)
const attempt = (work) => {
  try {
    work()
    return ''
  } catch (error) {
    return error.code
  }
}
const connection = (port, request) =>
  new Promise((resolve) => {
    let answer = ''
    const client = net.connect(Number(port), '127.0.0.1', () => request && client.write(request))
    client.setTimeout(10_000, () => client.destroy(new Error('silence')))
    client.on('data', (bytes) => (answer += bytes))
    client.on('error', (error) => resolve(error.code || error.message))
    client.on('close', () => resolve(answer || 'connected'))
  })

const main = async () => {
  // Of an installation of Node.js outside /usr, only this.
  const beside = (directory, known) => {
    const names = fs.existsSync(directory) ? fs.readdirSync(directory) : []
    return names.filter((name) => !known.includes(name)).map((name) => `${directory}/${name}`)
  }
  const strange = [...beside('/opt/node', ['bin', 'lib']), ...beside('/opt/node/bin', ['node', 'npm', 'npx'])]
  tell('host_files', (fs.existsSync(secretFile) && `${secretFile} is visible`) || (strange[0] && `${strange[0]} is visible`))
  tell('host_environment', fs.readFileSync('/proc/1/environ').length > 0 && 'process 1 shows the one it was started with')
  const processes = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length
  tell('host_processes', processes > 8 && `${processes} processes are visible`)
  const written = attempt(() => fs.writeFileSync('/usr/cobuild-probe', ''))
  tell('host_read_only', written !== 'EROFS' && `writing to /usr: ${written || 'succeeds'}`)

  const status = fs.readFileSync('/proc/self/status', 'utf8')
  const value = (name) => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1]
  const privileged = !/^0+$/.test(value('CapEff')) || !/^0+$/.test(value('CapBnd')) || value('NoNewPrivs') !== '1'
  tell('privileges', privileged && `CapEff ${value('CapEff')}, NoNewPrivs ${value('NoNewPrivs')}`)
  const nested = spawnSync('unshare', ['-U', 'true']).status === 0
  tell('system_calls', (value('Seccomp') !== '2' && 'no filter is in force') || (nested && 'namespaces can be made'))

  fs.writeFileSync('probe', '')
  const setUid = attempt(() => fs.chmodSync('probe', 0o4755))
  tell('set_uid', setUid !== 'EPERM' && `chmod 4755: ${setUid || 'succeeds'}`)

  const interfaces = fs.readFileSync('/proc/net/dev', 'utf8').split('\n').slice(2).filter(Boolean).length
  const host = await connection(hostPort, '')
  tell('host_network', (interfaces !== 1 && `${interfaces} interfaces`) || (host !== 'ECONNREFUSED' && `the host's loopback: ${host}`))
  const foreign = await connection(proxyPort, 'CONNECT example.invalid:443 HTTP/1.1\r\n\r\n')
  tell('egress', !foreign.startsWith('HTTP/1.1 403 ') && `a foreign host: ${foreign}`)
}

main()
