import { useEffect, useState } from 'react'
import Board from './components/Board.jsx'
import Scores from './components/Scores.jsx'
import { bestMove, outcome, useScores } from './game.js'

const TITLE = 'Tic-tac-toe'
const EMPTY = Array(9).fill(null)

export default function App() {
  const [cells, setCells] = useState(EMPTY)
  const [first, setFirst] = useState('X')
  const [alone, setAlone] = useState(true)
  const { scores, count } = useScores()

  const taken = cells.filter(Boolean).length
  const turn = taken % 2 === 0 ? first : first === 'X' ? 'O' : 'X'
  const { winner, line, over } = outcome(cells)
  const thinking = alone && turn === 'O' && !over

  function play(at) {
    if (cells[at] || over) return
    const next = cells.with(at, turn)
    setCells(next)
    const result = outcome(next)
    if (result.over) count(result.winner ?? 'draw')
  }

  useEffect(() => {
    if (!thinking) return
    const timer = setTimeout(() => play(bestMove(cells, 'O')), 450)
    return () => clearTimeout(timer)
  })

  function again() {
    setCells(EMPTY)
    setFirst(first === 'X' ? 'O' : 'X')
  }

  function choose(alone) {
    setAlone(alone)
    setCells(EMPTY)
    setFirst('X')
  }

  return (
    <div className="flex min-h-dvh flex-col bg-canvas px-4 text-ink antialiased">
      <main className="grid grow place-items-center py-8">
        <div className="w-full max-w-sm">
          <header className="flex items-center justify-between gap-4">
            <h1 className="text-2xl font-bold tracking-tight">{TITLE}</h1>
            <div className="flex rounded-full bg-line/70 p-1 text-sm" role="group" aria-label="Players">
              {[true, false].map((value) => (
                <button
                  key={String(value)}
                  type="button"
                  aria-pressed={alone === value}
                  onClick={() => choose(value)}
                  className="rounded-full px-3 py-1 font-semibold text-muted transition aria-pressed:bg-surface aria-pressed:text-ink aria-pressed:shadow-sm"
                >
                  {value ? 'Solo' : 'Duo'}
                </button>
              ))}
            </div>
          </header>

          <Scores scores={scores} turn={over ? null : turn} alone={alone} />
          <Board cells={cells} line={line} disabled={over || thinking} turn={turn} onPlay={play} />

          <div className="mt-6 flex h-12 items-center justify-between gap-4">
            <p role="status" className="text-lg font-semibold">
              {winner && (alone ? (winner === 'X' ? 'You win!' : 'The computer wins.') : `${winner} wins!`)}
              {!winner && over && 'A draw. Well played.'}
              {!over && (thinking ? 'Thinking…' : alone ? 'Your move' : `${turn} to move`)}
            </p>
            {taken > 0 && (
              <button
                type="button"
                onClick={again}
                className="rounded-full bg-accent px-5 py-2.5 font-semibold text-on-accent transition hover:brightness-110 active:scale-95"
              >
                {over ? 'Play again' : 'Restart'}
              </button>
            )}
          </div>
        </div>
      </main>
    </div>
  )
}
