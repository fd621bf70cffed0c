import Mark from './Mark.jsx'

export default function Board({ cells, line, disabled, turn, onPlay }) {
  return (
    <div className="mt-5 grid grid-cols-3 gap-3">
      {cells.map((cell, at) => (
        <button
          key={at}
          type="button"
          onClick={() => onPlay(at)}
          disabled={disabled || Boolean(cell)}
          aria-label={`Row ${Math.floor(at / 3) + 1}, column ${(at % 3) + 1}: ${cell ?? 'empty'}`}
          data-won={line.includes(at) || undefined}
          className="group grid aspect-square place-items-center rounded-2xl border border-line bg-surface shadow-sm transition enabled:hover:-translate-y-0.5 enabled:hover:shadow-md data-won:border-transparent data-won:bg-accent/15"
        >
          {cell ? (
            <Mark player={cell} />
          ) : (
            !disabled && (
              <span className="grid size-full place-items-center opacity-0 transition group-hover:opacity-20 group-focus-visible:opacity-20">
                <Mark player={turn} still />
              </span>
            )
          )}
        </button>
      ))}
    </div>
  )
}
