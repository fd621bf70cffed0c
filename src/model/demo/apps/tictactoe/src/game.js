import { useEffect, useState } from 'react'

const LINES = [
  [0, 1, 2],
  [3, 4, 5],
  [6, 7, 8],
  [0, 3, 6],
  [1, 4, 7],
  [2, 5, 8],
  [0, 4, 8],
  [2, 4, 6],
]

export function outcome(cells) {
  const line = LINES.find(([a, b, c]) => cells[a] && cells[a] === cells[b] && cells[a] === cells[c])
  return { winner: line ? cells[line[0]] : null, line: line ?? [], over: Boolean(line) || cells.every(Boolean) }
}

// Looks at every game that can still be played. One time in four it doesn't, so that you stand a chance.
export function bestMove(cells, player) {
  const free = cells.flatMap((cell, at) => (cell ? [] : [at]))
  if (Math.random() < 0.25) return free[Math.floor(Math.random() * free.length)]
  const worth = (at) => -value(cells.with(at, player), player === 'X' ? 'O' : 'X')
  return free.map((at) => ({ at, worth: worth(at) })).reduce((best, move) => (move.worth > best.worth ? move : best)).at
}

// What a position is worth to the player whose turn it is; winning soon is worth more.
function value(cells, player) {
  const { winner, over } = outcome(cells)
  const free = cells.flatMap((cell, at) => (cell ? [] : [at]))
  if (winner) return -1 - free.length
  if (over) return 0
  return Math.max(...free.map((at) => -value(cells.with(at, player), player === 'X' ? 'O' : 'X')))
}

const NO_SCORES = { X: 0, O: 0, draw: 0 }

export function useScores() {
  const [scores, setScores] = useState(() => {
    try {
      return JSON.parse(localStorage.getItem('scores')) ?? NO_SCORES
    } catch {
      return NO_SCORES
    }
  })

  useEffect(() => {
    try {
      localStorage.setItem('scores', JSON.stringify(scores))
    } catch {
      // A private window may keep no storage: then it lasts until the page is closed.
    }
  }, [scores])

  return {
    scores,
    count: (who) => setScores((scores) => ({ ...scores, [who]: scores[who] + 1 })),
    clear: () => setScores(NO_SCORES),
  }
}
