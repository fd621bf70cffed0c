import Features from './components/Features.jsx'
import Hero from './components/Hero.jsx'
import Nav from './components/Nav.jsx'
import Pricing from './components/Pricing.jsx'
import Questions from './components/Questions.jsx'
import Signup from './components/Signup.jsx'

const TITLE = 'See Europe from the window seat'

export default function App() {
  return (
    <div className="flex min-h-dvh flex-col bg-canvas text-ink antialiased">
      <Nav />
      <main className="grow">
        <Hero title={TITLE} />
        <Features />
        <Pricing />
        <Questions />
        <Signup />
      </main>
    </div>
  )
}
