/** A thread's own instances of the modules, made when they are first needed, and which of them does a job. */
import { ModpEngine } from './modp-engine.ts';
import { type ModpJob, modpUnitCount } from './modp-job.ts';
import { P256Engine } from './p256-engine.ts';
import { type P256Job, unitCount } from './p256-job.ts';
import { loadModule } from './wasm-module.ts';

export type KernelJob = P256Job | ModpJob;

/** Compiled modules; threads share them. */
export type KernelModules = Readonly<{ p256: WebAssembly.Module; modp: WebAssembly.Module }>;

export function loadModules(): KernelModules {
  return { p256: loadModule('p256'), modp: loadModule('modp') };
}

export function kernelUnitCount(job: KernelJob): number {
  return 'prime' in job ? modpUnitCount(job) : unitCount(job);
}

export class KernelEngines {
  readonly #modules: KernelModules;
  readonly #modp = new Map<string, ModpEngine>();
  #p256: P256Engine | null = null;

  constructor(modules: KernelModules = loadModules()) {
    this.#modules = modules;
  }

  get p256(): P256Engine {
    this.#p256 ??= new P256Engine(this.#modules.p256);
    return this.#p256;
  }

  modp(prime: Uint8Array): ModpEngine {
    const key = Buffer.from(prime).toString('latin1');
    let engine = this.#modp.get(key);
    if (engine === undefined) {
      engine = new ModpEngine(prime, this.#modules.modp);
      this.#modp.set(key, engine);
    }
    return engine;
  }

  run(job: KernelJob, unit: number): void {
    if ('prime' in job) this.modp(job.prime).run(job, unit);
    else this.p256.run(job, unit);
  }
}
