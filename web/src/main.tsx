import { render } from 'preact';
import { App } from './app.tsx';
import './style/base.css';
import './style/lobby.css';
import './style/call.css';

const root = document.getElementById('app');
if (!root) throw new Error('index.html has no #app');
render(<App />, root);
