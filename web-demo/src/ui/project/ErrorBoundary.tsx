import { Component, type ReactNode } from "react";

interface Props {
  /** What is inside, for the sentence. */
  what: string;
  children: ReactNode;
}

/** A pane that fails does not take the page with it. */
export class ErrorBoundary extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="pane-failed" role="alert">
        <p>Something went wrong while {this.props.what} was drawn. Nothing of the project is lost.</p>
        <button type="button" className="button small" onClick={() => this.setState({ failed: false })}>
          Try again
        </button>
      </div>
    );
  }
}
