// The Markdown people write in notes: headings, lists, tasks, quotes, code, and marks within a line.
export default function Markdown({ text }) {
  return <div className="max-w-prose space-y-4 font-prose text-lg leading-relaxed wrap-anywhere">{blocks(text)}</div>
}

const HEADINGS = ['text-4xl font-semibold tracking-tight', 'text-2xl font-semibold', 'text-xl font-semibold']

function blocks(text) {
  const lines = text.split('\n')
  const found = []
  const take = (pattern) => {
    const taken = []
    while (lines.length > 0 && pattern.test(lines[0])) taken.push(lines.shift().replace(pattern, ''))
    return taken
  }

  while (lines.length > 0) {
    const key = found.length
    const line = lines[0]
    if (!line.trim()) {
      lines.shift()
    } else if (line.startsWith('```')) {
      lines.shift()
      const end = lines.findIndex((line) => line.startsWith('```'))
      const code = lines.splice(0, end < 0 ? lines.length : end)
      lines.shift()
      found.push(
        <pre key={key} className="overflow-x-auto rounded-xl bg-canvas p-4 font-mono text-sm leading-6">
          {code.join('\n')}
        </pre>,
      )
    } else if (/^#{1,3} /.test(line)) {
      const level = line.indexOf(' ')
      const Heading = `h${level + 1}`
      found.push(
        <Heading key={key} className={HEADINGS[level - 1]}>
          {inline(lines.shift().slice(level + 1))}
        </Heading>,
      )
    } else if (/^> ?/.test(line)) {
      found.push(
        <blockquote key={key} className="border-l-4 border-accent pl-5 text-muted italic">
          {inline(take(/^> ?/).join(' '))}
        </blockquote>,
      )
    } else if (/^[-*] /.test(line)) {
      found.push(
        <ul key={key} className="list-disc space-y-1 pl-6 marker:text-accent">
          {take(/^[-*] /).map(item)}
        </ul>,
      )
    } else if (/^\d+\. /.test(line)) {
      found.push(
        <ol key={key} className="list-decimal space-y-1 pl-6 marker:text-accent-text">
          {take(/^\d+\. /).map(item)}
        </ol>,
      )
    } else {
      found.push(<p key={key}>{inline(take(/^(?!#{1,3} |> ?|[-*] |\d+\. |```)(?=.*\S)/).join(' '))}</p>)
    }
  }
  return found
}

function item(text, key) {
  const task = text.match(/^\[([ x])\] (.*)/)
  if (!task) return <li key={key}>{inline(text)}</li>
  return (
    <li key={key} className="-ml-6 flex list-none items-baseline gap-3">
      <input type="checkbox" checked={task[1] === 'x'} readOnly tabIndex={-1} className="accent-accent" />
      <span className={task[1] === 'x' ? 'text-muted line-through' : undefined}>{inline(task[2])}</span>
    </li>
  )
}

const MARKS = /(\*\*.+?\*\*|~~.+?~~|\*.+?\*|`.+?`|\[.+?\]\(https?:\/\/[^\s)]+\))/

function inline(text) {
  return text.split(MARKS).map((part, key) => {
    if (/^\*\*.+\*\*$/.test(part)) return <strong key={key}>{inline(part.slice(2, -2))}</strong>
    if (/^~~.+~~$/.test(part)) return <del key={key}>{inline(part.slice(2, -2))}</del>
    if (/^\*.+\*$/.test(part)) return <em key={key}>{inline(part.slice(1, -1))}</em>
    if (/^`.+`$/.test(part)) {
      return (
        <code key={key} className="rounded-md bg-canvas px-1.5 py-0.5 font-mono text-[0.85em]">
          {part.slice(1, -1)}
        </code>
      )
    }
    const link = part.match(/^\[(.+)\]\((.+)\)$/)
    if (link) {
      return (
        <a key={key} href={link[2]} target="_blank" rel="noreferrer" className="text-accent-text underline">
          {link[1]}
        </a>
      )
    }
    return part
  })
}
