// The address decides what the page is: a plain room by link, or the messaging product.
import { render } from 'preact';
import { readAddress } from './address.ts';
import { ProductApp } from './product/product-app.tsx';
import { RoomApp } from './room-app.tsx';
import { showTheme } from './theme.ts';
import './style/base.css';
import './style/lobby.css';
import './style/call.css';
import './style/product.css';
import './style/thread.css';
import './style/ring.css';

const root = document.getElementById('app');
if (!root) throw new Error('index.html has no #app');
showTheme();
render(readAddress().room === null ? <ProductApp /> : <RoomApp />, root);
