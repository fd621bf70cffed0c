import { useEffect, useState } from 'react'

export const COLUMNS = [
  { id: 'todo', name: 'To do' },
  { id: 'doing', name: 'Doing' },
  { id: 'done', name: 'Done' },
]

const FIRST_CARDS = [
  { id: 1, column: 'todo', text: 'Write the announcement', tag: 'Words' },
  { id: 2, column: 'todo', text: 'Ask five people to try the beta', tag: 'Research' },
  { id: 3, column: 'todo', text: 'Record a two-minute tour', tag: 'Video' },
  { id: 4, column: 'doing', text: 'Polish the first-run screens', tag: 'Design' },
  { id: 5, column: 'doing', text: 'Check the page on slow phones', tag: 'Quality' },
  { id: 6, column: 'done', text: 'Agree on a name', tag: 'Words' },
]

function stored() {
  try {
    return JSON.parse(localStorage.getItem('board')) ?? FIRST_CARDS
  } catch {
    return FIRST_CARDS
  }
}

export function useBoard() {
  const [cards, setCards] = useState(stored)

  useEffect(() => {
    try {
      localStorage.setItem('board', JSON.stringify(cards))
    } catch {
      // A private window may keep no storage: then it lasts until the page is closed.
    }
  }, [cards])

  return {
    cards,
    add: (column, text) => setCards((cards) => [...cards, { id: Date.now(), column, text }]),
    remove: (id) => setCards((cards) => cards.filter((card) => card.id !== id)),
    // Puts the card in front of another one, or at the end of the column.
    move(id, column, before) {
      setCards((cards) => {
        const card = cards.find((card) => card.id === id)
        if (!card || id === before) return cards
        const others = cards.filter((card) => card.id !== id)
        const at = others.findIndex((card) => card.id === before)
        return others.toSpliced(at < 0 ? others.length : at, 0, { ...card, column })
      })
    },
  }
}
