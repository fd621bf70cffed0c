import { useEffect, useState } from 'react'

// State that survives a reload.
export function useStored(key, initial) {
  const [value, setValue] = useState(() => {
    try {
      return JSON.parse(localStorage.getItem(key)) ?? initial
    } catch {
      return initial
    }
  })

  useEffect(() => {
    try {
      localStorage.setItem(key, JSON.stringify(value))
    } catch {
      // A private window may keep no storage: then it lasts until the page is closed.
    }
  }, [key, value])

  return [value, setValue]
}
