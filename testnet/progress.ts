/**
 * What a person sees while a testnet comes up: a few lines that fill in on a terminal, plain lines elsewhere.
 *
 * @module
 */
import type { LaunchEvent } from './launch.js';
import type { NetworkPlan } from './plan.js';

/** Where lines go. */
export interface Screen {
  write(text: string): void;
  /** A terminal, whose lines can be written over. */
  readonly tty: boolean;
}

type StepName = 'keys' | 'processes' | 'descriptors' | 'voting' | 'consensus' | 'circuit' | 'onion';

interface Step {
  readonly name: StepName;
  readonly title: string;
  detail: string;
  /** Seconds since the start at which it was done. */
  done: number | undefined;
}

const TITLES: [StepName, string][] = [
  ['keys', 'keys and certificates'],
  ['processes', 'processes'],
  ['descriptors', 'descriptors'],
  ['voting', 'voting'],
  ['consensus', 'consensus'],
  ['circuit', 'first circuit'],
  ['onion', 'onion service'],
];

const VOTING_WORDS: Record<string, string> = {
  vote: 'votes are out',
  'votes-fetched': 'votes are in',
  computed: 'consensus computed',
  signed: 'signatures exchanged',
  published: 'published',
  failed: 'failed, next try in a few seconds',
};

/** Follows a launch. `seconds` is the time since the command. */
export class Progress {
  private readonly screen: Screen;
  private readonly seconds: () => number;
  private readonly steps: Step[] = TITLES.map(([name, title]) => ({
    name,
    title,
    detail: '',
    done: undefined,
  }));
  private readonly up = new Set<string>();
  private readonly published = new Set<string>();
  private plan: NetworkPlan | undefined;
  private drawn = 0;
  private over = false;

  constructor(screen: Screen, seconds: () => number) {
    this.screen = screen;
    this.seconds = seconds;
  }

  /** Takes the next event. Once the network is ready the screen is others': what comes late is not shown. */
  heard(event: LaunchEvent): void {
    if (this.over) return;
    switch (event.type) {
      case 'planned':
        this.plan = event.plan;
        this.head(event.plan);
        break;
      case 'keys':
        this.finish('keys', `of ${this.plan?.size.authorities ?? 0} authorities`);
        break;
      case 'node':
        this.node(event.name, event.event);
        break;
      case 'fetching':
        this.say('circuit', 'fetching the demo page');
        break;
      case 'fetched':
        this.finish('circuit', 'the demo page came through three hops');
        break;
      case 'ready':
        this.finish('onion', event.onion ? 'published' : 'not up yet');
        this.over = true;
        break;
    }
  }

  private head(plan: NetworkPlan): void {
    const { authorities, relays, exits } = plan.size;
    this.screen.write(
      `A private onion network: ${authorities} authorities, ${relays} relays (${exits} of them exits), 1 client\n`,
    );
    this.draw();
  }

  private node(name: string, event: Extract<LaunchEvent, { type: 'node' }>['event']): void {
    const nodes = this.plan?.nodes ?? [];
    const relays = nodes.filter((node) => node.role !== 'client').length;
    switch (event.type) {
      case 'listening':
        this.up.add(name);
        this.count('processes', this.up.size, nodes.length, 'up');
        break;
      case 'published':
        this.published.add(name);
        this.count('descriptors', this.published.size, relays, 'accepted');
        break;
      case 'voting':
        if (event.step === 'published') this.finish('voting', '');
        else this.say('voting', VOTING_WORDS[event.step] ?? event.step);
        break;
      case 'consensus':
        this.finish('consensus', `with ${event.relays} relays`);
        break;
      case 'onion-service':
        this.say('onion', `descriptor at ${event.directories} HSDirs`);
        break;
      case 'bootstrap':
        this.say('circuit', `client at ${event.percent} %: ${event.summary}`);
        break;
    }
  }

  private step(name: StepName): Step {
    return this.steps.find((step) => step.name === name) as Step;
  }

  private count(name: StepName, have: number, all: number, word: string): void {
    if (have >= all) this.finish(name, `${all} ${word}`);
    else this.say(name, `${have} of ${all} ${word}`);
  }

  private say(name: StepName, detail: string): void {
    const step = this.step(name);
    if (step.done !== undefined || step.detail === detail) return;
    step.detail = detail;
    if (this.screen.tty) this.draw();
  }

  private finish(name: StepName, detail: string): void {
    const step = this.step(name);
    if (step.done !== undefined) return;
    step.detail = detail;
    step.done = this.seconds();
    if (this.screen.tty) this.draw();
    else this.screen.write(`${this.line(step)}\n`);
  }

  private line({ title, detail, done }: Step): string {
    const mark = done === undefined ? ' ' : '✓';
    const time = done === undefined ? '' : `${done.toFixed(1)} s`;
    return `  ${mark} ${title.padEnd(22)} ${time.padStart(6)}  ${detail}`.trimEnd();
  }

  private draw(): void {
    if (!this.screen.tty) return;
    const back = this.drawn > 0 ? `\u001b[${this.drawn}A` : '';
    this.screen.write(back + this.steps.map((step) => `\u001b[2K${this.line(step)}\n`).join(''));
    this.drawn = this.steps.length;
  }
}
