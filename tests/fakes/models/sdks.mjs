// What the vendors' own SDKs make of our stand-in: one JSON line for each SDK and mode. `node sdks.mjs http://host:port`
//
// Without this the stand-in would only prove that we agree with ourselves. An SDK that waits for more after it has read
// something, and would for minutes, is `stalled`.

import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';

const base = process.argv[2];
const modes = process.argv.slice(3);
const anthropic = new Anthropic({ apiKey: 'test-key', baseURL: base, maxRetries: 0 });
const openai = new OpenAI({ apiKey: 'test-key', baseURL: `${base}/v1`, maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: 'test-key', httpOptions: { baseUrl: base } });

const readers = {
  async anthropic(prompt, read) {
    const stream = anthropic.messages.stream({
      model: 'claude-sonnet-5-5', max_tokens: 100, messages: [{ role: 'user', content: prompt }],
    });
    stream.on('text', (text) => (read.text += text));
    const { content, stop_reason: stop, usage } = await stream.finalMessage();
    const text = content.map((block) => block.text ?? '').join('');
    Object.assign(read, { text, stop, input: usage.input_tokens, output: usage.output_tokens });
  },
  async chat(prompt, read) {
    const stream = await openai.chat.completions.create({
      model: 'm', stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: prompt }],
    });
    for await (const chunk of stream) {
      read.text += chunk.choices[0]?.delta?.content ?? '';
      read.stop = chunk.choices[0]?.finish_reason ?? read.stop;
      if (chunk.usage) Object.assign(read, { input: chunk.usage.prompt_tokens, output: chunk.usage.completion_tokens });
    }
  },
  async responses(prompt, read) {
    const stream = await openai.responses.create({ model: 'gpt-6.1-sol', stream: true, input: prompt });
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') read.text += event.delta;
      if (event.type === 'response.completed' || event.type === 'response.incomplete') {
        const { status, usage } = event.response;
        Object.assign(read, { stop: status, input: usage.input_tokens, output: usage.output_tokens });
      }
    }
  },
  async gemini(prompt, read) {
    const stream = await google.models.generateContentStream({ model: 'gemini-4-argon', contents: prompt });
    for await (const chunk of stream) {
      read.text += chunk.text ?? '';
      read.stop = chunk.candidates?.[0]?.finishReason ?? read.stop;
      const usage = chunk.usageMetadata;
      if (usage) Object.assign(read, { input: usage.promptTokenCount, output: usage.candidatesTokenCount ?? 0 });
    }
  },
};

/** How long an SDK may be silent, once it has read something, before it is said to wait. */
const STALL_MS = 2000;

/** Fulfilled when nothing more has come for a while. */
async function stall(read) {
  for (let before = ''; ; ) {
    await new Promise((resolve) => setTimeout(resolve, STALL_MS));
    if (read.text !== '' && read.text === before) return;
    before = read.text;
  }
}

for (const mode of modes) {
  const outcomes = Object.entries(readers).map(async ([sdk, reader]) => {
    const read = { text: '', stop: null };
    const reading = reader(`mode:${mode}`, read).then(
      () => read,
      (error) => ({ error: error.constructor.name, message: String(error.message).slice(0, 80) }),
    );
    const outcome = await Promise.race([reading, stall(read).then(() => ({ ...read, stalled: true }))]);
    console.log(JSON.stringify({ sdk, mode, ...outcome }));
  });
  await Promise.all(outcomes);
}
process.exit(0);
