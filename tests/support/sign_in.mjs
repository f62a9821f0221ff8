// Signs in to LiteLLM's UI with a real browser, and looks at some pages. Usage: node sign_in.mjs CHROMIUM PLAYWRIGHT URL, with the
// password in PASSWORD. It prints as JSON where it was led once it saw the pages' menu, and which requests the edge (x-from) did not pass on.
const [, , chromiumFolder, playwrightFolder, base] = process.argv;
const { default: chromium } = await import(`${chromiumFolder}/@sparticuz/chromium/build/index.js`);
const { chromium: playwright } = await import(`${playwrightFolder}/playwright-core/index.mjs`);

const browser = await playwright.launch({ executablePath: await chromium.executablePath(), args: [...chromium.args, '--no-sandbox'] });
const page = await browser.newPage();
const shut = new Set();
page.on('response', (answer) => {
  if (answer.headers()['x-from'] === 'edge') shut.add(`${answer.request().method()} ${new URL(answer.url()).pathname}`);
});
await page.goto(`${base}/ui/login/`, { waitUntil: 'networkidle' });
await page.getByPlaceholder(/username/i).fill('admin');
await page.fill('input[type="password"]', process.env.PASSWORD);
await page.keyboard.press('Enter');
await page.getByText('Virtual Keys').first().waitFor({ timeout: 60000 });
const led = page.url();
for (const name of ['api-keys', 'models', 'mcp-servers', 'logs']) await page.goto(`${base}/ui/?page=${name}`, { waitUntil: 'networkidle' });
console.log(JSON.stringify({ led, shut: [...shut].sort() }));
await browser.close();
