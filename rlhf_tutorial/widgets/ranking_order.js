// The order that a reader is making. Python puts this file before ranking.js.
//
// `tiers` is what Python calls tiers: lists of positions on the screen from 0, best first.
class Order {
  constructor(size) {
    this.size = size;
    this.tiers = [];
    this.tieNext = false;
    this.before = []; // what to go back to, for Backspace
  }
  get placed() {
    return this.tiers.flat();
  }
  get isWhole() {
    return this.placed.length === this.size;
  }
  // Where a reply stands, as in sport: after two that tie as 1st comes the 3rd.
  rank(position) {
    let ahead = 0;
    for (const tier of this.tiers) {
      if (tier.includes(position)) return ahead;
      ahead += tier.length;
    }
    return -1;
  }
  isTied(position) {
    return this.tiers.some((tier) => tier.length > 1 && tier.includes(position));
  }
  remember() {
    this.before.push(JSON.stringify([this.tiers, this.tieNext]));
  }
  undo() {
    const last = this.before.pop();
    if (last) [this.tiers, this.tieNext] = JSON.parse(last);
    return Boolean(last);
  }
  pick(position) {
    this.remember();
    if (this.tieNext) this.tiers.at(-1).push(position);
    else this.tiers.push([position]);
    this.tieNext = false;
    this.placeTheLast();
  }
  // The one reply that is left over can only be the last.
  placeTheLast() {
    const left = [...Array(this.size).keys()].filter((other) => !this.placed.includes(other));
    if (left.length === 1) this.tiers.push(left);
  }
  // Tie with the last pick: the next one if there is one, else the last with the one before.
  tie() {
    if (!this.tiers.length) return false;
    if (this.isWhole) return this.tiers.length > 1 && this.tieAt(this.tiers.length - 1);
    this.remember();
    this.tieNext = !this.tieNext;
    return true;
  }
  // Tie a tier with the one above it.
  tieAt(index) {
    this.remember();
    const [tier] = this.tiers.splice(index, 1);
    this.tiers[index - 1].push(...tier);
    return true;
  }
  // Part a reply from the one above it, so that it comes after.
  part(position) {
    this.remember();
    const index = this.tiers.findIndex((tier) => tier.includes(position));
    const place = this.tiers[index].indexOf(position);
    this.tiers.splice(index + 1, 0, this.tiers[index].splice(place));
  }
  remove(position) {
    this.remember();
    this.tieNext = false;
    this.tiers = this.tiers.map((tier) => tier.filter((other) => other !== position));
    this.tiers = this.tiers.filter((tier) => tier.length);
  }
  // Put a reply so that it stands at this place, before the tier that is there.
  moveTo(position, place) {
    const isNew = this.rank(position) < 0;
    this.remove(position);
    let index = 0;
    for (let ahead = 0; index < this.tiers.length && ahead < place; index += 1)
      ahead += this.tiers[index].length;
    this.tiers.splice(index, 0, [position]);
    if (isNew) this.placeTheLast();
  }
}
