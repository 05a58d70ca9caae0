import type { Command } from 'commander'
export function registerClassify(_program: Command): void {}
