import { escapeHtml } from './html.ts';

test('characters that end text or attributes in HTML become entities, and only these', () => {
  expect(escapeHtml(`<img src=x onerror='a("b")'> & Grün\n`)).toBe(
    '&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt; &amp; Grün\n',
  );
  expect(escapeHtml('&amp;')).toBe('&amp;amp;');
});
